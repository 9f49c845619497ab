"""API keys and organizations over HTTP: made, listed, rotated, revoked; seen and put on plans."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller, require_everything
from api.http.openapi import documented, takes
from api.http.problems import Problem, conflict, forbidden, invalid_field, not_found
from api.room import admit
from api.v1.idempotency import once
from api.v1.key_views import (
    KeyIn,
    KeyList,
    KeyView,
    NewKey,
    OrganizationIn,
    OrganizationList,
    OrganizationView,
    RotateIn,
)
from pipelines.analyze.trace import rfc3339
from pipelines.intake.errors import FieldError
from pipelines.intake.schema import Name
from synthralos.domain.permissions import Permission, Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By
from synthralos.store.admin.keys import ApiKey
from synthralos.store.admin.organizations import Organization

router = APIRouter(prefix="/api/v1", tags=["keys"])


@router.get("/keys", **documented(KeyList, "The keys that the caller may see, newest first"))
async def list_keys(request: Request) -> Response:
    """List the keys, without the keys themselves."""
    room, caller = await admit(request, Permission.READ_KEYS)
    found = await room.read(lambda: room.keys.all(caller.scope))
    return answer({"keys": [key_view(key) for key in found]})


@router.post(
    "/keys",
    **documented(NewKey, "The key, shown this once", status=201, validated=True, conflicting=True, body=True),
    openapi_extra=takes(KeyIn, required=True, keyed=True),
)
async def create_key(request: Request) -> Response:
    """Make a key. Only its hash is stored, so that it cannot be shown again."""
    room, caller = await admit(request, Permission.WRITE_KEYS)
    wanted = await read_document(request, room, KeyIn)
    scope = _bound(wanted, caller)
    expires_at = _expiry(wanted, datetime.now(UTC))
    role = Role(wanted.role)

    async def make(by: By) -> Response:
        secret, key = await room.write(
            lambda: room.keys.create(wanted.name, role, scope, wanted.account_plan, expires_at, by)
        )
        return answer({"key": secret, **key_view(key)}, 201)

    async def again(made: str) -> Response:
        raise conflict(f"This Idempotency-Key made {made}, and it was shown that once. Rotate it to have another.")

    return await once(request, room, caller, wanted, make, again)


@router.post(
    "/keys/{key_id}/rotate",
    **documented(NewKey, "The key in its place, shown this once", found=True, validated=True, body=True),
    openapi_extra=takes(RotateIn, required=False),
)
async def rotate_key(request: Request, key_id: str) -> Response:
    """Make a key with the same name, role and scope; the old one goes on for `grace_seconds`."""
    room, caller = await admit(request, Permission.WRITE_KEYS)
    wanted = await read_document(request, room, RotateIn, optional=True)
    grace = timedelta(seconds=wanted.grace_seconds)
    made = await room.write(lambda: room.keys.rotate(key_id, caller.scope, grace, By(caller.actor)))
    if made is None:
        raise _no_key()
    secret, key = made
    return answer({"key": secret, **key_view(key)})


@router.delete("/keys/{key_id}", **documented(KeyView, "The key, revoked", found=True))
async def revoke_key(request: Request, key_id: str) -> Response:
    """Revoke a key: within two seconds every process refuses it, and ends the streams that it opened."""
    room, caller = await admit(request, Permission.WRITE_KEYS)
    await room.write(lambda: room.keys.revoke(key_id, caller.scope, By(caller.actor)))
    key = await room.read(lambda: room.keys.get(key_id, caller.scope))
    if key is None:
        raise _no_key()
    return answer(key_view(key))


@router.get("/organizations", **documented(OrganizationList, "The organizations, by name"))
async def list_organizations(request: Request) -> Response:
    """List the organizations that a key named, or that were put on a plan."""
    room, caller = await admit(request, Permission.READ_ORGANIZATIONS)
    found = await room.read(lambda: room.organizations.all(caller.scope.organization))
    return answer({"organizations": [_organization(each) for each in found]})


@router.put(
    "/organizations/{name}",
    **documented(OrganizationView, "The organization afterwards", validated=True, body=True),
    openapi_extra=takes(OrganizationIn, required=True),
)
async def set_plan(request: Request, name: Annotated[Name, Path()]) -> Response:
    """Put an organization on a plan. Jobs that are submitted from now on carry it; a new organization is made."""
    room, caller = await admit(request, Permission.WRITE_ORGANIZATIONS)
    require_everything(caller, "put organizations on plans")
    wanted = await read_document(request, room, OrganizationIn)
    by = By(caller.actor)
    return answer(_organization(await room.write(lambda: room.organizations.set_plan(name, wanted.account_plan, by))))


def key_view(key: ApiKey) -> dict[str, Any]:
    """A key as it is shown, without the key itself."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "role": str(key.role),
        "organization": key.scope.organization,
        "workspace": key.scope.workspace,
        "user": key.scope.user,
        "account_plan": key.plan,
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at),
        "last_used_at": rfc3339(key.last_used_at),
        "revoked_at": rfc3339(key.revoked_at),
    }


def _organization(found: Organization) -> dict[str, Any]:
    return {"name": found.name, "account_plan": found.plan, "created_at": rfc3339(found.created_at)}


def _bound(wanted: KeyIn, caller: Caller) -> Scope:
    """The new key's scope: what was asked for, within the caller's own."""
    parts = []
    for name in ("organization", "workspace", "user"):
        bound, asked = getattr(caller.scope, name), getattr(wanted, name)
        if bound is not None and asked not in (None, bound):
            error = FieldError(name, "is not the key's", "leave it out, or use another key")
            raise forbidden(f"The key is bound to one tenant, and {name} names another.", [error])
        parts.append(asked if bound is None else bound)
    scope = Scope(*parts)
    if scope.organization is None and (scope.workspace or scope.user or wanted.account_plan):
        raise invalid_field("organization", "is missing", "name the one that workspace, user or account_plan is about")
    if scope.user is not None and scope.workspace is None:
        raise invalid_field("workspace", "is missing", "name the one that the user is in")
    if wanted.account_plan is not None:
        require_everything(caller, "put organizations on plans")
    return scope


def _expiry(wanted: KeyIn, now: datetime) -> datetime | None:
    if wanted.expires_at is not None and wanted.expires_in_seconds is not None:
        raise invalid_field("expires_in_seconds", "is given beside expires_at", "send one of the two")
    if wanted.expires_in_seconds is not None:
        return now + timedelta(seconds=wanted.expires_in_seconds)
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise invalid_field("expires_at", "is in the past", "send a time that is still to come, or none")
    return wanted.expires_at


def _no_key() -> Problem:
    return not_found("There is no such key, or none that this key may see; or it is revoked already.")
