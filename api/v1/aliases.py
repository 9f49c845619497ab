"""Aliases over HTTP: names of one's own for models, kept in the database beside those of the catalog file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented, takes
from api.http.problems import invalid, not_found
from api.http.versions import IfMatch, changed_meanwhile, etag, expected_version
from api.room import Room, admit
from api.v1.configuration_views import ChangedAt, ChangedBy, ReasonQuery, changed
from api.v1.views import View
from pipelines.intake.alias_errors import alias_error, left_without
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Reason
from synthralos.domain.aliases import AliasError
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Stored
from synthralos.store.admin.policies import Outdated

router = APIRouter(prefix="/api/v1", tags=["configuration"])

Name = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\s\x00]+$", description="what requests may ask for")
]
Target = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00]+$")]


class AliasIn(Closed):
    """What an alias is to stand for."""

    targets: Annotated[
        list[Target],
        Field(min_length=1, max_length=100, description="models, deployments, other aliases, or tier: with a tier"),
    ]
    reason: Reason = ""


class AliasView(View):
    """An alias that is in force."""

    name: str
    targets: Annotated[list[str], Field(description="as they were set")]
    deployments: Annotated[list[str], Field(description="the ids of the deployments that it stands for now")]
    source: Annotated[str, Field(description="file or database; the database's wins")]
    version: Annotated[int, Field(description="what ETag says: the change that set it; 0: it is the file's")]
    changed_at: ChangedAt
    changed_by: ChangedBy


class AliasList(View):
    """All aliases."""

    aliases: list[AliasView]


@router.get("/aliases", **documented(AliasList, "The aliases that are in force"))
async def list_aliases(request: Request) -> Response:
    """List the names that stand for models, deployments, tiers or one another."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    return await _all(room, caller.scope)


@router.get("/aliases/{name:path}", **documented(AliasView, "It", found=True, validated=True))
async def get_alias(request: Request, name: Name) -> Response:
    """One alias, with its version as ETag."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    return await _answered(room, name, caller.scope)


@router.put(
    "/aliases/{name:path}",
    **documented(AliasView, "The alias afterwards", found=True, validated=True, versioned=True, body=True),
    openapi_extra=takes(AliasIn, required=True),
)
async def set_alias(request: Request, name: Name, if_match: IfMatch = None) -> Response:
    """Add an alias, or change what one stands for, also one of the file's. In force everywhere within two seconds.

    With If-Match, only where nobody changed it meanwhile; `"0"`: only where the database has none.
    """
    room, caller = await admit(request, Permission.WRITE_DEPLOYMENTS)
    require_everything(caller, "change aliases")
    wanted, expected = await read_document(request, room, AliasIn), expected_version(if_match)
    by, check = By(caller.actor, wanted.reason), room.core.live.check_names(name)
    with _told_by_field(room, name):
        outcome = await room.configure(lambda: room.configuration.set_alias(name, wanted.targets, by, expected, check))
    if outcome is not None:
        raise changed_meanwhile("alias", outcome.version)
    return await _answered(room, name, caller.scope)


@router.delete(
    "/aliases/{name:path}",
    **documented(AliasList, "The aliases afterwards", found=True, validated=True, versioned=True),
)
async def remove_alias(
    request: Request, name: Name, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Remove an alias that was set here: the file's holds again, if it has one. Refused where others name it."""
    room, caller = await admit(request, Permission.WRITE_DEPLOYMENTS)
    require_everything(caller, "change aliases")
    by, expected, check = By(caller.actor, query.reason), expected_version(if_match), room.core.live.check_names()
    with _told_by_field(room, name):
        outcome = await room.configure(lambda: room.configuration.remove_alias(name, by, expected, check))
    if isinstance(outcome, Outdated):
        raise changed_meanwhile("alias", outcome.version)
    if not outcome:
        raise not_found("No such alias was set; the catalog file's own are changed there, or overridden by PUT.")
    return await _all(room, caller.scope)


@contextmanager
def _told_by_field(room: Room, name: str) -> Iterator[None]:
    try:
        yield
    except AliasError as error:
        own = error.alias == name
        raise invalid(
            [alias_error(error, room.core.catalog, "path.name") if own else left_without(error, "path.name")]
        ) from None


async def _all(room: Room, scope: Scope) -> Response:
    stored = await room.read(room.configuration.read)
    return answer({"aliases": [_view(room, stored, name, scope) for name in sorted(room.core.live.current.aliases)]})


async def _answered(room: Room, name: str, scope: Scope) -> Response:
    stored = await room.read(room.configuration.read)
    if name not in room.core.live.current.aliases:
        raise not_found("There is no such alias.")
    view = _view(room, stored, name, scope)
    return answer(view, 200, etag(view["version"]))


def _view(room: Room, stored: Stored, name: str, scope: Scope) -> dict[str, Any]:
    """Who is bound to a tenant does not see who operates the installation."""
    config, found = room.core.live.current, stored.aliases.get(name)
    return {
        "name": name,
        "targets": list(config.aliases[name]),
        "deployments": [deployment.id for deployment in config.catalog.matching(name)],
        "source": "file" if found is None else "database",
        "version": 0 if found is None else found.version,
        **changed(found if scope == EVERYTHING else None),
    }
