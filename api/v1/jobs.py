"""Reading jobs: one, waited for if need be, and lists."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.call import Call
from api.http.answers import JsonAnswer, answer
from api.http.openapi import documented
from api.large_results import large_answer
from api.room import admit
from api.v1.queries import JobQuery, WaitQuery, encode_cursor
from api.v1.views import JobPage, JobView
from pipelines.analyze.restricted import restricted_job
from pipelines.analyze.trace import job_view
from synthralos.domain.permissions import Permission

router = APIRouter(tags=["jobs"])


@router.get("/api/v1/jobs", **documented(JobPage, "A page of jobs, newest first", validated=True))
async def list_jobs(request: Request, query: Annotated[JobQuery, Query()]) -> Response:
    """List jobs, newest first, without their requests and results."""
    room, caller = await admit(request, Permission.READ_JOBS)
    filters = query.filters()
    rows = await room.read(lambda: room.reader.page(filters, caller.scope))
    page = rows[: query.limit]
    following = encode_cursor(page[-1]["id"]) if len(rows) > query.limit else None
    shown = [job_view(row, detail=False) for row in page]
    return answer({"jobs": [*map(restricted_job, shown)] if caller.restricted else shown, "next": following})


@router.get("/api/v1/jobs/{job_id}", **documented(JobView, "The job", found=True, validated=True))
async def get_job(request: Request, job_id: str, query: Annotated[WaitQuery, Query()]) -> Response:
    """Get one job with all its details; with `wait`, as soon as it is over or the time is.

    A key with the role `viewer` does not see the plan, what guards measured, and what providers said of errors.
    """
    return await show_job(Call.of(request), job_id, query.wait)


async def show_job(call: Call, job_id: str, wait: float) -> Response:
    """The job as it is, or as it is when it is over or `wait` seconds are."""
    room, caller = call.room, await call.admit(Permission.READ_JOBS)
    looks = room.when_over(job_id, caller.scope, wait) if wait else room.look(job_id, caller.scope)
    seen = await looks
    body = orjson.dumps(restricted_job(orjson.loads(seen.body))) if caller.restricted else seen.body
    if seen.result_bytes is not None:
        return large_answer(room, job_id.lower(), body, seen.result_bytes)
    return JsonAnswer(body)
