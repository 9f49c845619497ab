"""Incidents over HTTP: what the monitor found, what was done about it, and to acknowledge and resolve it."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.incident_views import CommentIn, IncidentList, IncidentsQuery, IncidentView, incident_view, summary_view
from api.v1.queries import encode_cursor
from synthralos.domain.ids import is_id
from synthralos.domain.incidents import Incident
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/incidents", tags=["healing"])

IncidentId = Annotated[str, Path(min_length=1, max_length=64)]

_CHANGED = documented(IncidentView, "It afterwards", found=True, validated=True, body=True)


@router.get("", **documented(IncidentList, "A page of incidents, newest first", validated=True))
async def list_incidents(request: Request, query: Annotated[IncidentsQuery, Query()]) -> Response:
    """List incidents, newest first; with `state=live`, those that are not over.

    Keys of an organization see the incidents that it is the subject of.
    """
    room, caller = await admit(request, Permission.READ_INCIDENTS)
    wanted = query.wanted()
    found = await room.read(lambda: room.incidents.page(wanted, caller.scope, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"incidents": [summary_view(each) for each in shown], "next": following})


@router.get("/{incident_id}", **documented(IncidentView, "It", found=True, validated=True))
async def get_incident(request: Request, incident_id: IncidentId) -> Response:
    """One incident: its evidence, what was done about it and with what outcome, and where to look next."""
    room, caller = await admit(request, Permission.READ_INCIDENTS)
    return _answer(await room.read(lambda: _by_id(incident_id, lambda i: room.incidents.get(i, caller.scope))))


@router.post("/{incident_id}/resolve", **_CHANGED, openapi_extra=takes(CommentIn, required=False))
async def resolve_incident(request: Request, incident_id: IncidentId) -> Response:
    """Say that an incident is over. Where it goes on, that is taken for usual. One that is closed stays as it is."""
    return await _act(request, incident_id, lambda room: room.incidents.resolve)


@router.post("/{incident_id}/acknowledge", **_CHANGED, openapi_extra=takes(CommentIn, required=False))
async def acknowledge_incident(request: Request, incident_id: IncidentId) -> Response:
    """Say that somebody looks at an incident. Who said it first is kept."""
    return await _act(request, incident_id, lambda room: room.incidents.acknowledge)


Act = Callable[[str, Scope, By], Incident | None]


async def _act(request: Request, incident_id: str, act_of: Callable[[Room], Act]) -> Response:
    room, caller = await admit(request, Permission.WRITE_INCIDENTS)
    body = await read_document(request, room, CommentIn, optional=True)
    by, act = By(caller.actor, body.comment), act_of(room)
    return _answer(await room.write(lambda: _by_id(incident_id, lambda i: act(i, caller.scope, by))))


def _by_id(incident_id: str, find: Callable[[str], Incident | None]) -> Incident | None:
    return find(incident_id.lower()) if is_id(incident_id) else None


def _answer(found: Incident | None) -> Response:
    if found is None:
        raise not_found("There is no such incident, or none that this key may see.")
    return answer(incident_view(found))
