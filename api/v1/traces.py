"""Traces: lists, one whole timeline, and the same as a file."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.queries import ExportQuery, TraceQuery, decode_cursor, encode_cursor
from api.v1.trace_queries import TracesQuery, encode_place
from api.v1.views import OtlpTrace, Trace, TracePage
from pipelines.analyze.otlp_json import otlp
from pipelines.analyze.restricted import restricted
from pipelines.analyze.trace import assemble, cost_view, feedback_view, rfc3339
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.states import OPEN, State
from synthralos.store.admin.processes import release
from synthralos.store.read.trace_rows import TraceRow

router = APIRouter(prefix="/api/v1/observability/traces", tags=["observability"])

MOST_JOBS_SHOWN = 100
"""Jobs of one trace that an answer shows with their timelines."""

MOST_BYTES_SHOWN = 4 * 1024 * 1024
"""Bytes of their requests and results; a job that is larger is shown alone."""

NEXT = "Synthralos-Next"
"""The header of an export in another format that holds the cursor of its next part."""

_TRACE_ID = re.compile("[0-9a-f]{32}")
_WORST_FIRST = (State.FAILED, State.DENIED, State.EXPIRED, State.CANCELLED, State.SUCCEEDED)


@router.get("", **documented(TracePage, "A page of traces", validated=True))
async def list_traces(request: Request, query: Annotated[TracesQuery, Query()]) -> Response:
    """List or search the traces that have a job for which all conditions hold, by their newest such job.

    A list by `sort`, `state`, `stage`, `model` or `lane`, or by anything that is searched, may show a trace again on a
    later page, for another of its jobs; a page that comes to its bound says `complete: false`, and `next` goes on.
    """
    room, caller = await admit(request, Permission.READ_JOBS)
    if query.searches:
        return answer(await _found(room, caller, query))
    filters = query.filters()
    rows = await room.read(lambda: room.reader.traces(filters, caller.scope))
    page = rows[: query.limit]
    following = encode_cursor(page[-1].newest_match) if len(rows) > query.limit else None
    return answer(_page_view(page, following, complete=True, indexed_until=None))


@router.get("/{trace_id}", **documented(Trace, "The trace", found=True, validated=True))
async def get_trace(request: Request, trace_id: str, query: Annotated[TraceQuery, Query()]) -> Response:
    """Get a trace by its id, or one job's part of it by the job's id. A trace of many or large jobs comes in pages.

    A key with the role `viewer` does not see plans, other deployments, and what providers said of errors.
    """
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(await _trace(room, caller, trace_id, query))


@router.get(
    "/{trace_id}/export",
    **documented(Trace | OtlpTrace, "The trace, as an attachment", found=True, validated=True),
)
async def export_trace(request: Request, trace_id: str, query: Annotated[ExportQuery, Query()]) -> Response:
    """The same as a file; with `format=otlp` as OpenTelemetry's JSON, for a collector."""
    room, caller = await admit(request, Permission.READ_JOBS)
    trace = await _trace(room, caller, trace_id, query)
    headers = {"Content-Disposition": f'attachment; filename="trace-{trace["trace_id"]}.json"'}
    if query.format == "json":
        return answer(trace, headers=headers)
    if trace["next"] is not None:
        headers[NEXT] = trace["next"]
    return answer(otlp(trace["jobs"], release()), headers=headers)


async def _found(room: Room, caller: Caller, query: TracesQuery) -> dict[str, Any]:
    wanted = query.wanted()
    found = await room.searching.ask(lambda: room.searching.traces.find(wanted, caller.scope))
    ids = [(match.trace_id, match.job_id) for match in found.matches]
    rows = await room.read(lambda: room.reader.trace_rows(ids, caller.scope)) if ids else []
    following = None if found.after is None else encode_place(found.after)
    return _page_view(rows, following, found.complete, found.indexed_until)


def _page_view(
    rows: Sequence[TraceRow], following: str | None, complete: bool, indexed_until: datetime | None
) -> dict[str, Any]:
    reached = rfc3339(indexed_until)
    return {"traces": [*map(summary, rows)], "next": following, "complete": complete, "indexed_until": reached}


def summary(row: TraceRow) -> dict[str, Any]:
    """A trace at a glance."""
    return {
        "trace_id": row.trace_id,
        "matched_job": row.newest_match,
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
    said = await room.read(lambda: room.feedback.of(shown))
    for part in parts:
        part["feedback"] = [feedback_view(row) for row in said[part["job"]["id"]]]
    if caller.restricted:
        parts = [restricted(part) for part in parts]
    more = len(found) > len(shown)
    following = encode_cursor(shown[-1]) if more else None
    trace_id = parts[0]["job"]["trace_id"]
    links = {} if caller.restricted else await room.read(room.exports.links)
    shown_at = {name: link.replace("{trace_id}", trace_id) for name, link in links.items()}
    return {"trace_id": trace_id, "jobs": parts, "truncated": more, "next": following, "links": shown_at}


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
