"""Thoughts over HTTP: an agent's notes about its jobs. They are events of the job, and shown with its run."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import conflict, not_found
from api.room import admit
from api.v1.idempotency import once
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from synthralos.bus.protocol import Topic
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By
from synthralos.store.queue.thoughts import MOST_THOUGHTS, Noted, TooMany

router = APIRouter(tags=["jobs"])

_UNKNOWN = "There is no such job, or none that this key may see."


class ThoughtIn(Closed):
    """What an agent thinks about a job."""

    text: Annotated[str, Field(min_length=1, max_length=8_000, pattern=r"^[^\x00]*$")]


class ThoughtView(View):
    """A thought."""

    id: str
    job_id: str
    actor: Annotated[str, Field(description="whose key it was noted with")]
    text: str
    at: AwareDatetime


@router.post(
    "/api/v1/jobs/{job_id}/thoughts",
    **documented(ThoughtView, "It", found=True, validated=True, conflicting=True, body=True, status=201),
    openapi_extra=takes(ThoughtIn, required=True, keyed=True),
)
async def add_thought(request: Request, job_id: str) -> Response:
    """Note a thought about a job, open or finished: it is told in the job's events, in its trace and with its run."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    wanted = await read_document(request, room, ThoughtIn)
    if not is_id(job_id):
        raise not_found(_UNKNOWN)

    async def make(by: By) -> Response:
        noted = await room.write(lambda: room.thoughts.add(job_id.lower(), caller.scope, by, wanted.text))
        if noted is None:
            raise not_found(_UNKNOWN)
        if isinstance(noted, TooMany):
            raise conflict(f"The job has {MOST_THOUGHTS:,} thoughts, and takes no more.")
        await room.tell(Topic.CHANGED, [noted.job_id])
        return answer(thought_view(noted), 201)

    async def again(made: str) -> Response:
        noted = await room.read(lambda: room.thoughts.get(made, caller.scope))
        if noted is None:
            raise not_found(_UNKNOWN)
        return answer(thought_view(noted), 201)

    return await once(request, room, caller, wanted, make, again)


def thought_view(noted: Noted) -> dict[str, Any]:
    """As the API shows it."""
    return {**noted._asdict(), "at": rfc3339(noted.at)}
