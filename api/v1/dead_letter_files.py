"""Dead letters as files over HTTP: exported line by line, and imported as new jobs, each once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response, StreamingResponse

from api.call import Call
from api.http.answers import answer
from api.http.auth import Caller
from api.http.bodies import parse_json, read_body
from api.http.openapi import documented, line_stream, takes_lines
from api.http.problems import Problem, invalid_field
from api.room import Room, admit
from api.v1.dead_letter_views import FilterQuery
from api.v1.submit import plans_of
from api.v1.views import FailureView, FieldProblem, View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.dead_letters import exported_job, imported_line
from pipelines.intake.errors import FieldError, InvalidJob
from pipelines.intake.lines import stand_in_line
from pipelines.intake.parse import Parsed, build, parse, utc_now
from pipelines.intake.schema import MOST_JOBS
from synthralos.domain.jobs import NewJob
from synthralos.domain.permissions import Permission
from synthralos.domain.states import Lane
from synthralos.store.queue.imports import Exported

router = APIRouter(prefix="/api/v1/dead-letters", tags=["healing"])

_PART = 20
"""Jobs that are read at a time: each may be as large as a body, and so much is in memory for each export."""

_MOST_TOLD = 5
"""Errors of one line that are told."""


class ExportedLine(View):
    """A dead letter. `job` is what a new job would be submitted as."""

    id: str
    created_at: AwareDatetime
    failed_at: AwareDatetime
    attempts: int
    failure: FailureView | None
    job: Annotated[dict[str, Any], Field(description="as `POST /api/v1/jobs` takes it")]


class ImportedLine(View):
    """What became of one line."""

    line: Annotated[int, Field(description="from 1")]
    id: Annotated[str | None, Field(description="that it was exported with")]
    outcome: Literal["imported", "repeated", "invalid"]
    job_id: Annotated[str | None, Field(description="the job that was made of it, now or earlier")]
    errors: list[FieldProblem]


class ImportedView(View):
    """What became of the lines, in their order."""

    imported: int
    repeated: Annotated[int, Field(description="were imported before: nothing was done")]
    invalid: int
    lines: list[ImportedLine]


class _Read(NamedTuple):
    """A line as it was read: what it is to become, or what is wrong with it."""

    exported_id: str | None
    parsed: Parsed | None
    errors: list[FieldError]


@router.get("/export", **line_stream("ExportedLine"))
async def export_dead_letters(request: Request, query: Annotated[FilterQuery, Query()]) -> Response:
    """Export the dead letters that fit, newest first, one JSON object a line. It breaks off where it cannot go on."""
    room, caller = await admit(request, Permission.READ_JOBS)
    first = await _part(room, caller, query, None)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(room, caller, query, first), 200, headers, "application/x-ndjson")


@router.post(
    "/import",
    **documented(ImportedView, "What became of each line", validated=True, body=True),
    openapi_extra=takes_lines("ExportedLine"),
)
async def import_dead_letters(request: Request) -> Response:
    """Make new jobs of exported lines, at most 1,000 a call. A line that was imported before does nothing."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    with room.bodies.place() as place:
        raw = await read_body(Call.of(request), room.core.settings.max_body_bytes, room.bodies, place)
        loop = asyncio.get_running_loop()
        read = await loop.run_in_executor(room.threads, lambda: _read(room, raw))
        jobs = [await _job(room, caller, each) for each in read]
        taken = [Exported(str(r.exported_id), j) for r, j in zip(read, jobs, strict=True) if isinstance(j, NewJob)]
        stand_in_line(each.job for each in taken)
        made = await room.write(lambda: room.imports.accept(taken)) if taken else []
    new = {each.job.id for each in taken}
    room.counts.accepted(Lane.BULK for job_id in made if job_id in new)
    return answer(_report(read, jobs, iter(made)))


async def _part(room: Room, caller: Caller, query: FilterQuery, before: str | None) -> list[str]:
    return await room.read(lambda: room.dead_letters.page(query.wanted(), caller.scope, _PART, before))


async def _lines(room: Room, caller: Caller, query: FilterQuery, ids: list[str]) -> AsyncIterator[bytes]:
    """Part by part. Raises where the database is away, or the key was revoked: then the stream has no end."""
    while ids:
        rows = await room.read(lambda some=ids: room.reader.jobs(some, caller.scope))  # type: ignore[misc]
        for job_id in ids:
            if job_id in rows:
                yield orjson.dumps(_exported(rows[job_id]), option=orjson.OPT_APPEND_NEWLINE)
        if room.waiters.released or not await room.auth.still_works(caller):
            raise ConnectionAbortedError(
                "the export was broken off: the server stops, or the key does not work any more"
            )
        ids = await _part(room, caller, query, ids[-1])


def _exported(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "created_at": rfc3339(row["created_at"]),
        "failed_at": rfc3339(row["finished_at"]),
        "attempts": row["attempts"],
        "failure": row["failure"],
        "job": exported_job(row),
    }


def _read(room: Room, raw: bytes) -> list[_Read]:
    """In a thread: each line by itself."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if not 1 <= len(lines) <= MOST_JOBS:
        raise invalid_field("body", f"must have 1 to {MOST_JOBS} lines", "split it into several requests")
    now = utc_now()
    return [_read_line(room, line, now) for line in lines]


def _read_line(room: Room, line: bytes, now: Any) -> _Read:
    exported_id = None
    try:
        exported_id, document = imported_line(parse_json(line, room.core.settings.max_depth, "line"))
        return _Read(exported_id, parse(document, room.checks, now), [])
    except InvalidJob as error:
        return _Read(exported_id, None, list(error.errors))
    except Problem as problem:
        errors = list(problem.errors) or [FieldError("line", "is not JSON", "send lines as the export wrote them")]
        return _Read(exported_id, None, errors)


async def _job(room: Room, caller: Caller, read: _Read) -> NewJob | list[FieldError]:
    if read.parsed is None:
        return read.errors
    plans = await plans_of(room, read.parsed, caller.scope, caller.key.plan)
    try:
        [job] = build(read.parsed, caller.scope, plans, None, utc_now())
    except InvalidJob as error:
        return list(error.errors)
    job.lane = Lane.BULK
    return job


def _report(read: list[_Read], jobs: list[NewJob | list[FieldError]], made: Any) -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    for number, (line, job) in enumerate(zip(read, jobs, strict=True), 1):
        said: dict[str, Any] = {"line": number, "id": line.exported_id}
        if isinstance(job, NewJob):
            job_id = next(made)
            outcome = "imported" if job_id == job.id else "repeated"
            lines.append({**said, "outcome": outcome, "job_id": job_id, "errors": []})
        else:
            told = [{"field": e.field, "problem": e.problem, "remedy": e.remedy} for e in job[:_MOST_TOLD]]
            lines.append({**said, "outcome": "invalid", "job_id": None, "errors": told})
    outcomes = ("imported", "repeated", "invalid")
    counts = {name: sum(line["outcome"] == name for line in lines) for name in outcomes}
    return {**counts, "lines": lines}
