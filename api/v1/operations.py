"""What people do to jobs: cancel, retry, reroute."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid, not_found
from api.room import Room, admit
from api.v1.views import JobView
from pipelines.analyze.trace import job_view
from pipelines.intake.schema import ReasonIn, RerouteIn
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Permission
from synthralos.domain.states import Stage, State, Transition, sources
from synthralos.store.queue.operations import Changed, Refused

router = APIRouter(tags=["operations"])

Outcome = Changed | Refused | None

_DOCUMENTED = documented(JobView, "The job afterwards", found=True, validated=True, conflicting=True, body=True)


@router.post("/api/v1/jobs/{job_id}/cancel", **_DOCUMENTED, openapi_extra=takes(ReasonIn, required=False))
async def cancel(request: Request, job_id: str) -> Response:
    """Call a job off. A call that is in flight is cut; what it cost stays on the books."""
    room, caller = await admit(request, Permission.CANCEL_JOBS)
    body = await read_document(request, room, ReasonIn, optional=True)
    job = await room.job(job_id, caller)

    def act() -> Outcome:
        return room.operations.cancel(job["id"], caller.scope, caller.actor, body.reason)

    return await _operate(room, caller, Transition.CANCEL, act, (Topic.CLAIM_REVOKED, Topic.FINISHED))


@router.post("/api/v1/jobs/{job_id}/retry", **_DOCUMENTED, openapi_extra=takes(ReasonIn, required=False))
async def retry(request: Request, job_id: str) -> Response:
    """Send a failed, denied, cancelled or expired job through again from the start; its history is kept."""
    room, caller = await admit(request, Permission.RETRY_JOBS)
    body = await read_document(request, room, ReasonIn, optional=True)
    job = await room.job(job_id, caller)

    def act() -> Outcome:
        return room.operations.retry(job["id"], caller.scope, caller.actor, body.reason)

    return await _operate(room, caller, Transition.RETRY, act, (Topic.CHANGED,))


@router.post("/api/v1/jobs/{job_id}/reroute", **_DOCUMENTED, openapi_extra=takes(RerouteIn, required=False))
async def reroute(request: Request, job_id: str) -> Response:
    """Route a job anew, with changed constraints. Its data's classification stays what it was."""
    room, caller = await admit(request, Permission.REROUTE_JOBS)
    body = await read_document(request, room, RerouteIn, optional=True)
    job = await room.job(job_id, caller)
    classification = job["constraints"].get("classification")
    errors = [*room.checks.check_constraints(body, ""), *room.checks.check_residency(classification, body)]
    if errors:
        raise invalid(errors)
    changes = _changes(body)

    def act() -> Outcome:
        return room.operations.reroute(job["id"], caller.scope, caller.actor, changes, body.reason)

    return await _operate(room, caller, Transition.REROUTE, act, (Topic.CLAIM_REVOKED, Topic.CHANGED))


async def _operate(
    room: Room, caller: Caller, transition: Transition, act: Callable[[], Outcome], topics: tuple[Topic, ...]
) -> Response:
    """Do it, then tell everybody: who waits, who works on the job, and the stage that it is at now."""
    outcome = await room.write(act)
    if outcome is None:
        raise not_found("There is no such job, or none that this key may see.")
    if isinstance(outcome, Refused):
        allowed = ", ".join(sorted(sources(transition)))
        raise conflict(f"Cannot {transition} a job that is {outcome.state}; it must be one of: {allowed}.")
    work_item = outcome.work_item
    if transition is Transition.CANCEL:
        room.counts.ended(work_item.lane, State.CANCELLED)
    room.core.doorbell.ring(Stage(work_item.stage), work_item.lane, [work_item.id])
    await room.write(lambda: _tell(room, topics, work_item.id))
    return answer(job_view(await room.job(work_item.id, caller), detail=True))


def _tell(room: Room, topics: tuple[Topic, ...], job_id: str) -> None:
    for topic in topics:
        room.core.bus.publish(topic, [job_id])


def _changes(body: RerouteIn) -> dict[str, Any]:
    """What was sent, laid out as `Constraints.to_json` does; null stands for none where a list or word is kept."""
    changes = body.model_dump(exclude_unset=True, exclude={"reason"})
    if changes.get("exclude", ()) is None:
        changes["exclude"] = []
    return {name: value for name, value in changes.items() if value is not None or name in ("pin", "region")}
