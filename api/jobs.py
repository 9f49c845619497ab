"""Reading jobs: one, waited for if need be, and lists."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.answers import answer
from api.openapi import documented
from api.queries import JobQuery, WaitQuery, encode_cursor
from api.room import admit
from api.views import JobPage, JobView
from pipelines.analyze.trace import job_view
from synthralos.domain.states import TERMINAL
from synthralos.store.admin.keys import Role

router = APIRouter(tags=["jobs"])


@router.get("/api/v1/jobs", **documented(JobPage, "A page of jobs, newest first", validated=True))
async def list_jobs(request: Request, query: Annotated[JobQuery, Query()]) -> Response:
    """List jobs, newest first, without their requests and results."""
    room, caller = await admit(request, Role.VIEWER)
    filters = query.filters()
    rows = await room.read(lambda: room.reader.page(filters, caller.scope))
    page = rows[: query.limit]
    following = encode_cursor(page[-1]["id"]) if len(rows) > query.limit else None
    return answer({"jobs": [job_view(row, detail=False) for row in page], "next": following})


@router.get("/api/v1/jobs/{job_id}", **documented(JobView, "The job", found=True, validated=True))
async def get_job(request: Request, job_id: str, query: Annotated[WaitQuery, Query()]) -> Response:
    """Get one job with all its details; with `wait`, as soon as it is over or the time is."""
    room, caller = await admit(request, Role.VIEWER)
    if not query.wait:
        return answer(job_view(await room.job(job_id, caller), detail=True))
    clock = asyncio.get_running_loop().time
    until = clock() + query.wait
    with room.waiters.expecting(job_id.lower()) as its_end:
        job = await room.job(job_id, caller)
        if job["state"] not in TERMINAL:
            await its_end(max(0.0, until - clock()))
            job = await room.job(job_id, caller)
    return answer(job_view(job, detail=True))
