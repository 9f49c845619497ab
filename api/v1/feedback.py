"""Feedback on jobs: what people and programs say of an answer."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid_field
from api.room import admit
from api.v1.views import FeedbackView, View
from pipelines.analyze.trace import feedback_view
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name
from synthralos.domain.permissions import Permission
from synthralos.store.admin.feedback import MOST_OF_A_JOB, Said

router = APIRouter(prefix="/api/v1/jobs", tags=["observability"])


class FeedbackIn(Closed):
    """What is said of a job. What the same source said under the same label before is replaced."""

    score: Annotated[float | None, Field(ge=-1_000_000, le=1_000_000, allow_inf_nan=False)] = None
    label: Annotated[Name | None, Field(description="what it is about, such as `helpful` or `toxicity`")] = None
    comment: Annotated[str | None, Field(min_length=1, max_length=2_000)] = None
    source: Annotated[Name, Field(description="who says it: `human`, or the name of a program")] = "human"


class FeedbackList(View):
    """What was said of a job, oldest first."""

    feedback: list[FeedbackView]


_DOCUMENTED = documented(
    FeedbackList, "All that was said of the job", found=True, validated=True, conflicting=True, body=True
)


@router.post("/{job_id}/feedback", **_DOCUMENTED, openapi_extra=takes(FeedbackIn, required=True))
async def give_feedback(request: Request, job_id: str) -> Response:
    """Say something of a job: a score, a label, a comment. To send it twice is to send it once."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    body = await read_document(request, room, FeedbackIn)
    if body.score is None and body.label is None and body.comment is None:
        raise invalid_field("score", "is missing, as are label and comment", "send at least one of them")
    if body.comment is not None and "\0" in body.comment:
        raise invalid_field("comment", "has a NUL character", "remove it")
    job = await room.job(job_id, caller)
    said = Said(body.source, body.label or "", body.score, body.comment)
    if not await room.write(lambda: room.feedback.add(job["id"], said, caller.actor)):
        raise conflict(f"The job has {MOST_OF_A_JOB} pieces of feedback: replace one of them.")
    found = await room.read(lambda: room.feedback.of([job["id"]]))
    return answer({"feedback": [feedback_view(row) for row in found[job["id"]]]})


@router.get("/{job_id}/feedback", **documented(FeedbackList, "All that was said of the job", found=True))
async def list_feedback(request: Request, job_id: str) -> Response:
    """What was said of a job."""
    room, caller = await admit(request, Permission.READ_JOBS)
    job = await room.job(job_id, caller)
    found = await room.read(lambda: room.feedback.of([job["id"]]))
    return answer({"feedback": [feedback_view(row) for row in found[job["id"]]]})
