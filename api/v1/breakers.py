"""Circuit breakers over HTTP: which deployments and keys get no calls now, why, since when, and to have one closed."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented, takes
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.queries import Text, decode_cursor, encode_cursor
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.schema import ReasonIn
from synthralos.bus.protocol import Topic
from synthralos.domain.breakers import Breaker, BreakerState, is_credential
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By
from synthralos.store.admin.breakers import BreakerChange

router = APIRouter(prefix="/api/v1", tags=["healing"])

Name = Annotated[str, Path(min_length=1, max_length=200, description="a deployment's id, or credential:NAME")]


class ProbesView(View):
    """Of the present step of probes: how many may be made, were handed out, and passed."""

    allowed: int
    claimed: int
    passed: int


class BreakerView(View):
    """One circuit breaker."""

    name: str
    kind: Annotated[str, Field(description="deployment or credential")]
    state: BreakerState
    since: Annotated[AwareDatetime | None, Field(description="null: it was never open")]
    until: Annotated[AwareDatetime | None, Field(description="open: when the next probe may be made")]
    opened: Annotated[int, Field(description="openings in a row: each keeps it open for twice as long")]
    probes: Annotated[ProbesView | None, Field(description="while it is half open")]
    reason: Annotated[str | None, Field(description="why it has this state; null for keys of a tenant")]


class BreakerList(View):
    """All breakers: those of the catalog's deployments, and of the credentials that were ever shut off."""

    breakers: list[BreakerView]


class BreakerChangeView(View):
    """A change of state. `actor`: a worker's id, or who reset it."""

    id: str
    at: AwareDatetime
    name: str
    before: BreakerState
    after: BreakerState
    actor: str
    reason: str


class BreakerChangeList(View):
    """Changes, newest first."""

    changes: list[BreakerChangeView]
    next: str | None


class ChangesQuery(BaseModel):
    """Which changes to list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[Text | None, Field(description="of this breaker")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


@router.get("/breakers", **documented(BreakerList, "The breakers"))
async def list_breakers(request: Request) -> Response:
    """List the circuit breakers. What is open gets no calls; half open, a few probes."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    found = {each.name: each for each in await room.read(room.breakers.all)}
    names = sorted({deployment.id for deployment in room.core.catalog} | found.keys())
    views = [_view(name, found.get(name), open_to_all=caller.scope == EVERYTHING) for name in names]
    return answer({"breakers": views})


@router.get("/breaker-changes", **documented(BreakerChangeList, "Changes, newest first", validated=True))
async def list_breaker_changes(request: Request, query: Annotated[ChangesQuery, Query()]) -> Response:
    """What became of breakers: when each opened, was probed, and closed, and why."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    require_everything(caller, "see what became of breakers")
    before = None if query.cursor is None else decode_cursor(query.cursor)
    found = await room.read(lambda: room.breakers.changes(query.name, query.limit + 1, before))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"changes": [_change(each) for each in shown], "next": following})


@router.get("/breakers/{name:path}", **documented(BreakerView, "It", found=True, validated=True))
async def get_breaker(request: Request, name: Name) -> Response:
    """One breaker."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    found = await room.read(lambda: room.breakers.get(name))
    if found is None and room.core.catalog.get(name) is None:
        raise not_found("There is no such breaker: it is named by a deployment's id, or by credential:NAME.")
    return answer(_view(name, found, open_to_all=caller.scope == EVERYTHING))


@router.post(
    "/breakers/{name:path}/reset",
    **documented(BreakerView, "It afterwards", found=True, validated=True, body=True),
    openapi_extra=takes(ReasonIn, required=False),
)
async def reset_breaker(request: Request, name: Name) -> Response:
    """Have a breaker closed at once, whatever was seen: calls are made again within a second."""
    room, caller = await admit(request, Permission.WRITE_BREAKERS)
    require_everything(caller, "reset breakers")
    body = await read_document(request, room, ReasonIn, optional=True)
    await _reset(room, name, By(caller.actor, body.reason))
    return await get_breaker(request, name)


async def _reset(room: Room, name: str, by: By) -> None:
    if await room.write(lambda: room.breakers.reset(name, by)) is not None:
        await room.tell(Topic.BREAKERS, [name])


def _view(name: str, breaker: Breaker | None, *, open_to_all: bool) -> dict[str, Any]:
    found = breaker or Breaker(name, BreakerState.CLOSED, datetime.min)
    half_open = found.state is BreakerState.HALF_OPEN
    return {
        "name": name,
        "kind": "credential" if is_credential(name) else "deployment",
        "state": found.state,
        "since": None if breaker is None else rfc3339(breaker.since),
        "until": None if found.until is None or half_open else rfc3339(found.until),
        "opened": found.opened,
        "probes": {"allowed": found.allowed, "claimed": found.claimed, "passed": found.passed} if half_open else None,
        "reason": (found.reason or None) if open_to_all else None,
    }


def _change(change: BreakerChange) -> dict[str, Any]:
    return {
        "id": change.id,
        "at": rfc3339(change.at),
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "actor": change.actor,
        "reason": change.reason,
    }
