"""Feature flags over HTTP: seen, set, set back."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented, takes
from api.room import Room, admit
from api.v1.configuration_views import (
    FlagIn,
    FlagList,
    FlagQuery,
    FlagView,
    ReasonQuery,
    changed,
)
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Stored

router = APIRouter(prefix="/api/v1", tags=["configuration"])


@router.get("/flags", **documented(FlagList, "All flags", validated=True))
async def list_flags(request: Request, query: Annotated[FlagQuery, Query()]) -> Response:
    """List the feature flags: how each stands, who decides, and what it does."""
    room, _ = await _admit(request, Permission.READ_FLAGS)
    stored = await room.read(room.configuration.read)
    return answer({"flags": [_flag(room, stored, flag, query.organization) for flag in Flag]})


@router.get("/flags/{name}", **documented(FlagView, "The flag", validated=True))
async def get_flag(request: Request, name: Flag, query: Annotated[FlagQuery, Query()]) -> Response:
    """One feature flag."""
    room, _ = await _admit(request, Permission.READ_FLAGS)
    return answer(_flag(room, await room.read(room.configuration.read), name, query.organization))


@router.put(
    "/flags/{name}",
    **documented(FlagView, "The flag afterwards", validated=True, body=True),
    openapi_extra=takes(FlagIn, required=True),
)
async def set_flag(request: Request, name: Flag) -> Response:
    """Set a flag. Every process goes by it within two seconds, save those whose environment overrides it."""
    room, actor = await _admit(request, Permission.WRITE_FLAGS)
    wanted = await read_document(request, room, FlagIn)
    state, by = FlagState(wanted.enabled, wanted.percentage), By(actor, wanted.reason)
    await room.configure(lambda: room.configuration.set_flag(name, state, by))
    return answer(_flag(room, await room.read(room.configuration.read), name, None))


@router.delete("/flags/{name}", **documented(FlagView, "The flag, at its default", validated=True))
async def reset_flag(request: Request, name: Flag, query: Annotated[ReasonQuery, Query()]) -> Response:
    """Set a flag back to its default."""
    room, actor = await _admit(request, Permission.WRITE_FLAGS)
    await room.configure(lambda: room.configuration.reset_flag(name, By(actor, query.reason)))
    return answer(_flag(room, await room.read(room.configuration.read), name, None))


async def _admit(request: Request, permission: Permission) -> tuple[Room, str]:
    """The room and the caller's name on record; what concerns everybody needs a key of the whole installation."""
    room, caller = await admit(request, permission)
    require_everything(caller, "see or change what concerns all organizations")
    return room, caller.actor


def _flag(room: Room, stored: Stored, flag: Flag, organization: str | None) -> dict[str, Any]:
    found = stored.flags.get(flag)
    view = room.core.live.current.flags.view(flag, organization, stored=found is not None)
    return {**view, **changed(found)}
