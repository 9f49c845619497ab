"""`GET /api/v1/jobs/{id}/events`: a job's timeline as it grows, as server-sent events.

Every entry has an id that is always the same. A reader who comes back with `Last-Event-ID` gets what follows the
entry of that id. The jobs' states are not kept as history, so a `state` entry tells the present one; its id also
names the entry before it, which is what makes it a place to go on from.

Where the job is streamed, its answer comes in between as `delta` entries, and `restarted` says that it begins anew.
From the first delta on every id also says how far the answer was told (`@` and a `Place`). So a reader may come back
at any age: what is not kept any more is in the job's result.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.http.auth import Caller
from api.http.openapi import event_stream
from api.http.problems import Problem
from api.large_results import ResultGone, in_pieces
from api.live.deltas import Follower, rest_of
from api.room import Followed, Room, Seen, admit
from pipelines.analyze.restricted import restricted_entry, restricted_job
from pipelines.analyze.trace import Row, attempt_span, event_view, expected_at, job_view, stage_span, waits_for
from synthralos.bus.protocol import POLL_SECONDS
from synthralos.domain.attempts import Outcome
from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.permissions import Permission
from synthralos.domain.states import TERMINAL
from synthralos.store.sql.errors import StoreError

router = APIRouter(tags=["jobs"])

HEARTBEAT_SECONDS = 15.0
_MARK, _PLACE = "~", "@"

Entry = tuple[str, str, dict[str, Any]]
"""(id, event, data)."""


@router.get("/api/v1/jobs/{job_id}/events", **event_stream())
async def events(request: Request, job_id: str) -> Response:
    """Follow a job: `state`, `span`, `attempt` and `event` entries, and `done` when it is over and analyzed.

    A job with `stream` tells its answer in between: `delta` entries, and `restarted` where it begins anew.
    """
    room, caller = await admit(request, Permission.READ_JOBS)
    job = orjson.loads((await room.look(job_id, caller.scope)).body)
    after = request.headers.get("last-event-id", "")
    if job["constraints"].get("stream"):
        stream = _streamed(room, caller, job["id"], after)
    else:
        stream = _frames(room, caller, job["id"], after, None)
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
    if job.get("standing") is not None:
        data |= {"waits_for": waits_for(job), "expected_at": expected_at(job)}
    return f"{previous_id or '-'}{_MARK}{job['state']}.{job['stage']}.{job['attempts']}", "state", data


def is_complete(job: Row) -> bool:
    """Whether nothing more is to come."""
    return job["state"] in TERMINAL and job["analyzed_at"] is not None


def frame(entry: Entry) -> bytes:
    """An entry as server-sent events write it."""
    entry_id, event, data = entry
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry_id.encode(), event.encode(), orjson.dumps(data))


@dataclass(slots=True)
class _Marks:
    """What a reader was told: the last entry, the last state, and how far the answer; an id names all of them."""

    previous: str
    state: str
    place: Place
    restricted: bool = False

    @classmethod
    def read(cls, last_event_id: str, restricted: bool = False) -> "_Marks":
        last, _, place = last_event_id.partition(_PLACE)
        previous, _, state = last.partition(_MARK)
        return cls(previous, state, Place.read(place), restricted)

    def frame(self, entry: Entry) -> bytes:
        """An entry of the timeline, with what the reader may see of it."""
        entry_id, event, data = entry
        shown = restricted_entry(event, data) if self.restricted else data
        return frame((entry_id + self._suffix, event, shown))

    def last_frame(self, entry_id: str, body: bytes) -> bytes:
        """The entry `done`, whose data is written already."""
        return b"id: %b\nevent: done\ndata: %b\n\n" % ((entry_id + self._suffix).encode(), body)

    def deltas(self, chunks: Iterable[Chunk]) -> Iterator[bytes]:
        """More of the answer; first that it begins anew, where it does."""
        for chunk in chunks:
            before, self.place = self.place, chunk.place
            if before.attempt not in (0, chunk.place.attempt):
                self.place = Place(chunk.place.attempt)
                again = {"attempt": chunk.place.attempt, "previous_attempt": before.attempt}
                yield frame((self._id(), "restarted", {**again, "deployment": chunk.deployment}))
                self.place = chunk.place
            yield frame((self._id(), "delta", chunk.to_json()))

    def _id(self) -> str:
        return f"{self.previous or '-'}{_MARK}{self.state}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f"{_PLACE}{self.place}" if self.place.attempt or self.place.chunk else ""


async def _streamed(room: Room, caller: Caller, job_id: str, last_id: str) -> AsyncIterator[bytes]:
    with room.deltas.following(job_id, _Marks.read(last_id).place) as follower:
        async for piece in _frames(room, caller, job_id, last_id, follower):
            yield piece


async def _frames(
    room: Room, caller: Caller, job_id: str, last_id: str, follower: Follower | None
) -> AsyncIterator[bytes]:
    loop, told = asyncio.get_running_loop(), None
    marks = _Marks.read(last_id, caller.restricted)
    beat = loop.time()
    while not room.waiters.released:
        try:
            if not await room.auth.still_works(caller):
                return
            found = await room.follows.get(job_id)
            if found is None:
                return
            job = found.job
            end = await room.look(job_id, caller.scope) if is_complete(job) else None
            pieces = [*marks.deltas(await _deltas(room, caller, found, end, follower))]
        except (Problem, StoreError):
            return  # the reader comes back with the last id
        every = entries(job, found.timeline)
        if told is None:
            told = {e[0] for e in every} - {e[0] for e in remaining(every, last_id.partition(_PLACE)[0])}
        pieces += _news(job, [entry for entry in every if entry[0] not in told], marks)
        told.update(entry[0] for entry in every)
        if pieces:
            beat = loop.time()
            yield b"".join(pieces)
        if end is not None:
            async for piece in _done(room, caller, job_id, end, marks):
                yield piece
            return
        pausing = _pause(room, job, beat + HEARTBEAT_SECONDS - loop.time())
        if follower is None:
            await pausing
        else:
            async for chunks in _meanwhile(pausing, follower):
                beat = loop.time()
                yield b"".join(marks.deltas(chunks))
        if loop.time() - beat >= HEARTBEAT_SECONDS:
            beat = loop.time()
            yield b": still here\n\n"


def _news(job: Row, fresh: list[Entry], marks: _Marks) -> list[bytes]:
    """The new entries, and the state where it is another one."""
    marks.previous = fresh[-1][0] if fresh else marks.previous
    state = state_entry(job, marks.previous)
    if (now := state[0].partition(_MARK)[2]) != marks.state:
        fresh.append(state)
        marks.state = now
    return [marks.frame(entry) for entry in fresh]


async def _done(room: Room, caller: Caller, job_id: str, end: Seen, marks: _Marks) -> AsyncIterator[bytes]:
    """The last entry; a large result within it goes out in pieces, and a reader of whom it is removed comes back."""
    body = orjson.dumps(restricted_job(orjson.loads(end.body))) if caller.restricted else end.body
    entry = marks.last_frame(f"done:{job_id}", body)
    if end.result_bytes is None:
        yield entry
        return
    with contextlib.suppress(ResultGone, StoreError):
        async for piece in in_pieces(room, job_id, entry, end.result_bytes):
            yield piece


async def _deltas(
    room: Room, caller: Caller, found: Followed, end: Seen | None, follower: Follower | None
) -> list[Chunk]:
    """What is known of the answer by now: of a job that is over all that there is, from its result if need be."""
    if follower is None:
        return []
    if found.job["state"] in TERMINAL:
        await room.deltas.catch_up(follower)
    chunks = follower.take()
    if end is None:
        return chunks
    whole = orjson.loads(end.body) if end.result_bytes is None else await room.job(found.job["id"], caller)
    if isinstance(result := whole["result"], dict):
        made = [
            attempt["attempt_no"]
            for attempt in found.timeline["attempts"]
            if attempt["outcome"] == Outcome.SUCCEEDED and attempt["deployment"] == result.get("deployment")
        ]  # of two calls of one job the first may have answered it
        rest = rest_of(result, max(made, default=whole["attempts"]), follower.place)
        chunks += [] if rest is None else [rest]
    return chunks


async def _meanwhile(pausing: Coroutine[Any, Any, None], follower: Follower) -> AsyncIterator[list[Chunk]]:
    """What comes of the answer until the pause is over."""
    pause = asyncio.ensure_future(pausing)
    pause.add_done_callback(lambda _: follower.ring())
    try:
        while not pause.done():
            await follower.news()
            if chunks := follower.take():
                yield chunks
        pause.result()
    finally:
        pause.cancel()


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
