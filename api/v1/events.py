"""`GET /api/v1/jobs/{id}/events`: a job's timeline as it grows, as server-sent events.

Every entry has an id that is always the same. A reader who comes back with `Last-Event-ID` gets what follows the
entry of that id. The jobs' states are not kept as history, so a `state` entry tells the present one; its id also
names the entry before it, which is what makes it a place to go on from.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.http.auth import Caller
from api.http.openapi import event_stream
from api.http.problems import Problem
from api.room import Room, admit
from pipelines.analyze.trace import Row, attempt_span, event_view, job_view, stage_span
from synthralos.bus.protocol import POLL_SECONDS
from synthralos.domain.permissions import Permission
from synthralos.domain.states import TERMINAL
from synthralos.store.sql.errors import StoreError

router = APIRouter(tags=["jobs"])

HEARTBEAT_SECONDS = 15.0
_MARK = "~"

Entry = tuple[str, str, dict[str, Any]]
"""(id, event, data)."""


@router.get("/api/v1/jobs/{job_id}/events", **event_stream())
async def events(request: Request, job_id: str) -> Response:
    """Follow a job: `state`, `span`, `attempt` and `event` entries, and `done` when it is over and analyzed."""
    room, caller = await admit(request, Permission.READ_JOBS)
    job = await room.job(job_id, caller)
    after = request.headers.get("last-event-id", "")
    stream = _frames(room, caller, job["id"], after)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, 200, headers, "text/event-stream")


def entries(job: Row, timeline: Mapping[str, Sequence[Row]]) -> list[Entry]:
    """The timeline in the order in which its entries became visible."""
    found: list[tuple[str, Entry]] = []
    for row in timeline["attempts"]:
        span = attempt_span(job, row)
        found.append((span["started_at"], (f"attempt:{row['attempt_no']}:open", "attempt", _as_begun(span))))
        if row["outcome"] != "open":
            late = ":late" if row["late"] else ""
            entry = (f"attempt:{row['attempt_no']}:{row['outcome']}{late}", "attempt", span)
            found.append((span["ended_at"], entry))
    for row in timeline["spans"]:
        span = stage_span(job, row)
        found.append((span["ended_at"], (f"span:{row['span_id']}", "span", span)))
    for row in timeline["events"]:
        view = event_view(row)
        found.append((view["at"], (f"event:{row['id']}", "event", view)))
    return [entry for _, entry in sorted(found, key=lambda item: item[0])]


def remaining(all_entries: list[Entry], last_event_id: str) -> list[Entry]:
    """What follows the entry of that id; everything where there is none."""
    place = last_event_id.partition(_MARK)[0]
    for number, (entry_id, _, _) in enumerate(all_entries):
        if entry_id == place:
            return all_entries[number + 1 :]
    return all_entries


def state_entry(job: Row, previous_id: str) -> Entry:
    """The present state, placed after the entry `previous_id`."""
    data = {name: job[name] for name in ("state", "stage", "attempts")}
    view = job_view(job, detail=False)
    data |= {name: view[name] for name in ("run_at", "finished_at", "failure")}
    return f"{previous_id or '-'}{_MARK}{job['state']}.{job['stage']}.{job['attempts']}", "state", data


def is_complete(job: Row) -> bool:
    """Whether nothing more is to come."""
    return job["state"] in TERMINAL and job["analyzed_at"] is not None


def frame(entry: Entry) -> bytes:
    """An entry as server-sent events write it."""
    entry_id, event, data = entry
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry_id.encode(), event.encode(), orjson.dumps(data))


async def _frames(room: Room, caller: Caller, job_id: str, last_id: str) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    told: set[str] | None = None
    previous, _, state_told = last_id.partition(_MARK)
    beat = loop.time()
    while not room.waiters.released:
        try:
            if not await room.auth.still_works(caller):
                return
            found = await room.follows.get(job_id)
            if found is None:
                return
            job = found.job
            whole = await room.job(job_id, caller) if is_complete(job) else None
        except (Problem, StoreError):
            return  # the reader comes back with the last id
        every = entries(job, found.timeline)
        if told is None:
            told = {e[0] for e in every} - {e[0] for e in remaining(every, last_id)}
        fresh = [entry for entry in every if entry[0] not in told]
        told.update(entry[0] for entry in fresh)
        previous = fresh[-1][0] if fresh else previous
        state = state_entry(job, previous)
        if state[0].partition(_MARK)[2] != state_told:
            fresh.append(state)
            state_told = state[0].partition(_MARK)[2]
        if whole is not None:
            fresh.append((f"done:{job_id}", "done", job_view(whole, detail=True)))
        if fresh:
            beat = loop.time()
            yield b"".join(map(frame, fresh))
        if is_complete(job):
            return
        await _pause(room, job, beat + HEARTBEAT_SECONDS - loop.time())
        if loop.time() - beat >= HEARTBEAT_SECONDS:
            beat = loop.time()
            yield b": still here\n\n"


async def _pause(room: Room, job: Row, seconds: float) -> None:
    """Wait until there may be something new, `seconds` at most."""
    seen = (job["state"], job["stage"], job["finished_at"])
    # The states say nothing of whether a finished job has been analyzed.
    longest = POLL_SECONDS if job["state"] in TERMINAL else HEARTBEAT_SECONDS
    await room.waiters.moved(job["id"], seen, max(0.0, min(seconds, longest)))


def _as_begun(span: dict[str, Any]) -> dict[str, Any]:
    """An attempt as it was told when it began."""
    attributes = {**span["attributes"], "outcome": "open", "billed": None, "late": False, "failure": None}
    attributes |= dict.fromkeys(
        ("usage", "cost_usd", "seconds", "service_tier", "provider_model", "provider_request_id")
    )
    return {**span, "ended_at": None, "status": "unset", "attributes": attributes}
