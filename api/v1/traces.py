"""Traces: lists, one whole timeline, and the same as a file."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.queries import JobQuery, TraceQuery, decode_cursor, encode_cursor
from api.v1.views import Trace, TracePage
from pipelines.analyze.trace import assemble, cost_view, rfc3339
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.states import OPEN, State
from synthralos.store.read.jobs import TraceRow

router = APIRouter(prefix="/api/v1/observability/traces", tags=["observability"])

MOST_JOBS_SHOWN = 100
"""Jobs of one trace that an answer shows with their timelines."""

MOST_BYTES_SHOWN = 4 * 1024 * 1024
"""Bytes of their requests and results; a job that is larger is shown alone."""

_TRACE_ID = re.compile("[0-9a-f]{32}")
_WORST_FIRST = (State.FAILED, State.DENIED, State.EXPIRED, State.CANCELLED, State.SUCCEEDED)


@router.get("", **documented(TracePage, "A page of traces, newest first", validated=True))
async def list_traces(request: Request, query: Annotated[JobQuery, Query()]) -> Response:
    """List the traces that have a job of the kind asked for, by their newest such job."""
    room, caller = await admit(request, Permission.READ_JOBS)
    filters = query.filters()
    rows = await room.read(lambda: room.reader.traces(filters, caller.scope))
    page = rows[: query.limit]
    following = encode_cursor(page[-1].newest_match) if len(rows) > query.limit else None
    return answer({"traces": [summary(row) for row in page], "next": following})


@router.get("/{trace_id}", **documented(Trace, "The trace", found=True, validated=True))
async def get_trace(request: Request, trace_id: str, query: Annotated[TraceQuery, Query()]) -> Response:
    """Get a trace by its id, or one job's part of it by the job's id. A trace of many or large jobs comes in pages."""
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(await _trace(room, caller, trace_id, query))


@router.get("/{trace_id}/export", **documented(Trace, "The trace, as an attachment", found=True, validated=True))
async def export_trace(request: Request, trace_id: str, query: Annotated[TraceQuery, Query()]) -> Response:
    """The same as a file."""
    room, caller = await admit(request, Permission.READ_JOBS)
    trace = await _trace(room, caller, trace_id, query)
    return answer(trace, headers={"Content-Disposition": f'attachment; filename="trace-{trace["trace_id"]}.json"'})


def summary(row: TraceRow) -> dict[str, Any]:
    """A trace at a glance."""
    return {
        "trace_id": row.trace_id,
        "jobs": row.job_ids,
        "job_count": sum(row.states.values()),
        "states": row.states,
        "state": overall(row.states),
        "started_at": rfc3339(row.started_at),
        "ended_at": rfc3339(row.ended_at),
        "cost": cost_view(row.cost, row.cost_known, row.maybe_billed),
    }


def overall(states: dict[str, int]) -> str:
    """One state for many jobs: that of all of them, `active` while any is open, else the worst."""
    if len(states) == 1:
        return next(iter(states))
    if any(State(state) in OPEN for state in states):
        return State.ACTIVE
    return next(state for state in _WORST_FIRST if state in states)


async def _trace(room: Room, caller: Caller, wanted: str, query: TraceQuery) -> dict[str, Any]:
    found: list[tuple[str, int]] = []
    after = None if query.cursor is None else decode_cursor(query.cursor)
    if is_id(wanted):
        found = [((await room.job(wanted, caller))["id"], 0)]
    elif _TRACE_ID.fullmatch(wanted):
        most = MOST_JOBS_SHOWN + 1
        found = await room.read(lambda: room.reader.by_trace(wanted, caller.scope, after, most))
    shown = _page(found)
    jobs = await room.read(lambda: room.reader.jobs(shown, caller.scope)) if shown else {}
    if not jobs:
        raise not_found("There is no such trace, or none that this key may see.")
    timelines = await room.read(lambda: room.reader.timelines(shown))
    parts = [assemble(jobs[job_id], timelines[job_id]) for job_id in shown if job_id in jobs]
    more = len(found) > len(shown)
    following = encode_cursor(shown[-1]) if more else None
    return {"trace_id": parts[0]["job"]["trace_id"], "jobs": parts, "truncated": more, "next": following}


def _page(found: list[tuple[str, int]]) -> list[str]:
    """As many of the jobs as one answer may hold; the first in any case."""
    shown: list[str] = []
    left = MOST_BYTES_SHOWN
    for job_id, size in found[:MOST_JOBS_SHOWN]:
        left -= size
        if shown and left < 0:
            break
        shown.append(job_id)
    return shown
