"""Exports over HTTP: how destinations fare, and what is set aside. For operators of the whole installation."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller, require_everything
from api.http.openapi import documented, takes
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.queries import decode_cursor, encode_cursor
from api.v1.views import JobId, View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.schema import ReasonIn
from synthralos.domain.exports import Kind, SetAside, Standing
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By
from synthralos.store.exports.operating import MOST_AT_ONCE

router = APIRouter(prefix="/api/v1/exports", tags=["observability"])

Name = Annotated[str, Path(min_length=1, max_length=64, description="a destination, such as langfuse")]


class DestinationView(View):
    """How a destination fares. `pending`, `refused` and `withheld` are counted up to 100,000."""

    name: str
    residency: Annotated[str | None, Field(description="where it is declared to keep data; null: nowhere")]
    state: Annotated[str, Field(description="idle, draining, resting, or stopped: it refuses our key, or such")]
    pending: Annotated[int, Field(description="traces that it is owed")]
    lag_seconds: Annotated[float, Field(description="for how long the oldest of them has been owed")]
    sent: Annotated[int, Field(description="traces that it accepted, ever")]
    failed: Annotated[int, Field(description="times that it did not take a trace by itself, ever")]
    refused: Annotated[int, Field(description="traces that are set aside, as it refuses them for good")]
    withheld: Annotated[int, Field(description="traces that are set aside, as their data may not go there")]
    dropped: Annotated[int, Field(description="traces that it will never get: too old, too many, or dropped by hand")]
    resting_seconds: Annotated[float, Field(description="for how much longer it is left alone")]
    last_error: str | None
    last_error_at: AwareDatetime | None
    last_sent_at: AwareDatetime | None
    seen_at: Annotated[AwareDatetime, Field(description="when a worker last began to ship there")]


class DestinationList(View):
    """All destinations that traces were ever shipped to."""

    destinations: list[DestinationView]


class SetAsideView(View):
    """A trace that comes no more by itself. `organization` is null where the job is kept no more."""

    job_id: JobId
    organization: str | None
    kind: Kind
    reason: str
    tries: Annotated[int, Field(description="shipments that it was in")]
    since: Annotated[AwareDatetime, Field(description="since when it is owed")]
    at: Annotated[AwareDatetime, Field(description="when it was set aside")]


class SetAsidePage(View):
    """Traces that are set aside, newest jobs first."""

    traces: list[SetAsideView]
    next: str | None


class MovedView(View):
    """How many traces an act was about; one act is about 1,000 at most."""

    traces: int


class SetAsideQuery(BaseModel):
    """What to list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: Annotated[Kind | None, Field(description="refused by the destination, or withheld from it")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


class SetAsideIn(ReasonIn):
    """Which of the traces that are set aside."""

    jobs: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(min_length=1, max_length=MOST_AT_ONCE, description="ids of jobs; left out: the oldest 1,000"),
    ] = None


@router.get("", **documented(DestinationList, "The destinations"))
async def list_exports(request: Request) -> Response:
    """How each destination of exports fares: what it is owed, what it took and refused, what it said last."""
    room, _ = await _admit(request, Permission.READ_EXPORTS)
    found = await room.read(room.exports.standings)
    return answer({"destinations": [_view(each) for each in found]})


@router.get("/{destination}", **documented(DestinationView, "It", found=True, validated=True))
async def get_export(request: Request, destination: Name) -> Response:
    """How one destination fares."""
    room, _ = await _admit(request, Permission.READ_EXPORTS)
    return answer(await _known(room, destination))


@router.post(
    "/{destination}/resume",
    **documented(DestinationView, "It afterwards", found=True, validated=True, body=True),
    openapi_extra=takes(ReasonIn, required=False),
)
async def resume_export(request: Request, destination: Name) -> Response:
    """Have a destination that rests or is stopped tried again within seconds."""
    room, caller = await _admit(request, Permission.WRITE_EXPORTS)
    body = await read_document(request, room, ReasonIn, optional=True)
    await room.write(lambda: room.exports.resume(destination, By(caller.actor, body.reason)))
    return answer(await _known(room, destination))


@router.get("/{destination}/set-aside", **documented(SetAsidePage, "A page of traces", found=True, validated=True))
async def list_set_aside(request: Request, destination: Name, query: Annotated[SetAsideQuery, Query()]) -> Response:
    """List the traces that are set aside, and why: the destination refuses them, or their data may not go there."""
    room, _ = await _admit(request, Permission.READ_EXPORTS)
    await _known(room, destination)
    before = None if query.cursor is None else decode_cursor(query.cursor)
    found = await room.read(lambda: room.exports.set_aside(destination, query.kind, before, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].job_id) if len(found) > query.limit else None
    return answer({"traces": [_aside(each) for each in shown], "next": following})


_MOVED = documented(MovedView, "How many it was", found=True, validated=True, body=True)
_WHICH = takes(SetAsideIn, required=False)


@router.post("/{destination}/set-aside/retry", **_MOVED, openapi_extra=_WHICH)
async def retry_set_aside(request: Request, destination: Name) -> Response:
    """Have traces that are set aside shipped again; what may not go there is set aside again."""
    room, caller = await _admit(request, Permission.WRITE_EXPORTS)
    body = await read_document(request, room, SetAsideIn, optional=True)
    await _known(room, destination)
    jobs, by = _jobs(body), By(caller.actor, body.reason)
    return answer({"traces": await room.write(lambda: room.exports.retry(destination, jobs, by))})


@router.post("/{destination}/set-aside/drop", **_MOVED, openapi_extra=_WHICH)
async def drop_set_aside(request: Request, destination: Name) -> Response:
    """Forget traces that are set aside: the destination never gets them. The jobs stay."""
    room, caller = await _admit(request, Permission.WRITE_EXPORTS)
    body = await read_document(request, room, SetAsideIn, optional=True)
    await _known(room, destination)
    jobs, by = _jobs(body), By(caller.actor, body.reason)
    return answer({"traces": await room.write(lambda: room.exports.drop(destination, jobs, by))})


async def _admit(request: Request, permission: Permission) -> tuple[Room, Caller]:
    room, caller = await admit(request, permission)
    require_everything(caller, "see or change exports")
    return room, caller


async def _known(room: Room, destination: str) -> dict[str, Any]:
    found = await room.read(lambda: room.exports.standing(destination))
    if found is None:
        raise not_found("Nothing was ever shipped to a destination of that name: GET /api/v1/exports lists them.")
    return _view(found)


def _jobs(body: SetAsideIn) -> list[str] | None:
    """Ids as they are stored; what is no id names no job."""
    return None if body.jobs is None else [job_id.lower() for job_id in body.jobs if is_id(job_id.lower())]


def _view(found: Standing) -> dict[str, Any]:
    state = "stopped" if found.stopped else "resting" if found.resting else "draining" if found.pending else "idle"
    same = ("name", "residency", "pending", "sent", "failed", "refused", "withheld", "dropped", "last_error")
    return {
        **{name: getattr(found, name) for name in same},
        "state": state,
        "lag_seconds": round(found.lag, 3),
        "resting_seconds": round(found.resting, 3),
        "last_error_at": rfc3339(found.last_error_at),
        "last_sent_at": rfc3339(found.last_sent_at),
        "seen_at": rfc3339(found.seen_at),
    }


def _aside(found: SetAside) -> dict[str, Any]:
    return {**found._asdict(), "since": rfc3339(found.since), "at": rfc3339(found.at)}
