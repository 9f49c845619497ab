"""Retention over HTTP: how long what of an organization is kept."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import forbidden, invalid, invalid_field, not_found
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery, changed
from api.v1.retention_views import RetentionIn, RetentionView
from pipelines.intake.errors import FieldError
from pipelines.intake.schema import Name
from synthralos.domain.permissions import Permission
from synthralos.domain.retention import RULES, Kind, errors, own_days
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/organizations/{name}/retention", tags=["configuration"])

Organization = Annotated[Name, Path(description="its name")]


@router.get("", **documented(RetentionView, "How long what is kept", found=True, validated=True))
async def get_retention(request: Request, name: Organization) -> Response:
    """How long what of an organization is kept: its own times, and the installation's where it has none."""
    room, _ = await _admit(request, name, Permission.READ_RETENTION)
    return await _shown(room, name)


@router.put(
    "",
    **documented(RetentionView, "The times afterwards", found=True, validated=True, body=True),
    openapi_extra=takes(RetentionIn, required=True),
)
async def set_retention(request: Request, name: Organization) -> Response:
    """Give an organization times of its own, in days; what is left out is as the installation says.

    In force within two seconds. How long the books are kept is set by keys of the whole installation alone.
    """
    room, caller = await _admit(request, name, Permission.WRITE_RETENTION)
    wanted = await read_document(request, room, RetentionIn)
    days: dict[str, float] = wanted.model_dump(exclude={"reason"}, exclude_none=True)
    if not days:
        raise invalid_field("body", "sets no time", "name one, or DELETE to have the installation's again")
    if Kind.ACCOUNTS in days and caller.scope.organization is not None:
        raise forbidden("How long the books are kept is set by a key of the whole installation.")
    whole = {**room.core.live.current.retention.days, **own_days(days)}
    wrong = [FieldError(each.kind, each.problem, each.remedy) for each in errors(whole)]
    if wrong:
        raise invalid(wrong)
    await room.configure(lambda: room.configuration.set_retention(name, days, By(caller.actor, wanted.reason)))
    return await _shown(room, name)


@router.delete("", **documented(RetentionView, "The installation's times", found=True, validated=True))
async def reset_retention(request: Request, name: Organization, query: Annotated[ReasonQuery, Query()]) -> Response:
    """Have the installation's times hold for an organization again."""
    room, caller = await _admit(request, name, Permission.WRITE_RETENTION)
    own = room.core.live.current.retention.own.get(name, {})
    if Kind.ACCOUNTS in own and caller.scope.organization is not None:
        raise forbidden("How long the books are kept is set by a key of the whole installation.")
    await room.configure(lambda: room.configuration.reset_retention(name, By(caller.actor, query.reason)))
    return await _shown(room, name)


async def _admit(request: Request, name: str, permission: Permission) -> tuple[Room, Caller]:
    room, caller = await admit(request, permission)
    if caller.scope.organization not in (None, name):
        raise not_found("No such organization is this key's.")
    if permission is Permission.WRITE_RETENTION and (caller.scope.workspace or caller.scope.user):
        raise forbidden("Retention is of a whole organization: use a key that is bound to no workspace and no user.")
    return room, caller


async def _shown(room: Room, name: str) -> Response:
    stored = (await room.read(room.configuration.read)).retention.get(name)
    retention = room.core.live.current.retention
    own, days = retention.own.get(name, {}), retention.of(name)
    kept: list[dict[str, Any]] = [
        {"kind": kind, "days": days[kind], "own": kind in own, "least": rule.least, "meaning": rule.meaning}
        for kind, rule in RULES.items()
    ]
    return answer({"organization": name, "kept": kept, **changed(stored)})
