"""What people do to jobs: cancel, retry, reroute."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid, invalid_field, not_found
from api.room import Room, admit
from api.v1.views import BulkReport, JobView
from pipelines.analyze.trace import job_view
from pipelines.intake.schema import BulkIn, ReasonIn, RerouteIn, RerouteJobIn, RetryIn
from synthralos.control.operator import Actor, Outcome
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.states import Transition, sources
from synthralos.store.queue.operations import Refused

router = APIRouter(tags=["operations"])

_AT_ONCE = 50
"""Jobs of a bulk operation for which a thread is taken at a time, so that it holds up nobody else for long."""

_DOCUMENTED = documented(JobView, "The job afterwards", found=True, validated=True, conflicting=True, body=True)


@router.post("/api/v1/jobs/{job_id}/cancel", **_DOCUMENTED, openapi_extra=takes(ReasonIn, required=False))
async def cancel(request: Request, job_id: str) -> Response:
    """Call a job off. A call that is in flight is cut; what it cost stays on the books."""
    return await _end_or_revive(request, job_id, Transition.CANCEL, Permission.CANCEL_JOBS)


@router.post("/api/v1/jobs/{job_id}/retry", **_DOCUMENTED, openapi_extra=takes(RetryIn, required=False))
async def retry(request: Request, job_id: str) -> Response:
    """Send a failed, denied, cancelled or expired job through again from the start; its history is kept.

    A job that is parked for a repair goes on at once.
    """
    return await _end_or_revive(request, job_id, Transition.RETRY, Permission.RETRY_JOBS)


@router.post("/api/v1/jobs/{job_id}/reroute", **_DOCUMENTED, openapi_extra=takes(RerouteJobIn, required=False))
async def reroute(request: Request, job_id: str) -> Response:
    """Route a job anew, with changed constraints. Its data's classification stays what it was."""
    room, caller = await admit(request, Permission.REROUTE_JOBS)
    body = await read_document(request, room, RerouteJobIn, optional=True)
    job = await room.job(job_id, caller)
    classification = job["constraints"].get("classification")
    errors = [*room.checks.check_constraints(body, ""), *room.checks.check_residency(classification, body)]
    if errors:
        raise invalid(errors)
    changes, actor = constraint_changes(body), Actor(caller.actor, caller.scope, body.reason, _repair_of(body))
    outcome = await room.write(lambda: room.operator.reroute(job["id"], actor, changes))
    return await _answered(room, caller, Transition.REROUTE, outcome)


@router.post(
    "/api/v1/jobs/bulk",
    **documented(BulkReport, "What became of each job, in their order", validated=True, body=True),
    openapi_extra=takes(BulkIn, required=True),
)
async def bulk(request: Request) -> Response:
    """Cancel or retry many jobs: each that can be is, and each is reported by itself."""
    room, caller = await admit(request, Permission.CANCEL_JOBS)
    body = await read_document(request, room, BulkIn)
    if body.operation == "retry":
        await admit(request, Permission.RETRY_JOBS)
    actor = Actor(caller.actor, caller.scope, body.reason)
    job_ids = list(dict.fromkeys(job_id.lower() for job_id in body.jobs))
    known = [job_id for job_id in job_ids if is_id(job_id)]
    act = room.operator.cancel if body.operation == "cancel" else room.operator.retry
    outcomes: dict[str, Outcome] = {}
    for start in range(0, len(known), _AT_ONCE):
        some = known[start : start + _AT_ONCE]
        outcomes |= zip(some, await room.write(partial(act, some, actor)), strict=True)
    transition = Transition(body.operation)
    return answer({"results": [_report(transition, job_id, outcomes.get(job_id)) for job_id in job_ids]})


async def _end_or_revive(request: Request, job_id: str, transition: Transition, permission: Permission) -> Response:
    room, caller = await admit(request, permission)
    cancels = transition is Transition.CANCEL
    body = await read_document(request, room, ReasonIn if cancels else RetryIn, optional=True)
    job = await room.job(job_id, caller)
    actor = Actor(caller.actor, caller.scope, body.reason, _repair_of(body))
    act = room.operator.cancel if cancels else room.operator.retry
    [outcome] = await room.write(lambda: act([job["id"]], actor))
    return await _answered(room, caller, transition, outcome)


async def _answered(room: Room, caller: Caller, transition: Transition, outcome: Outcome) -> Response:
    if outcome is None:
        raise not_found("There is no such job, or none that this key may see.")
    if isinstance(outcome, Refused):
        raise conflict(_why_not(transition, outcome))
    return answer(job_view(await room.job(outcome.work_item.id, caller), detail=True))


def _repair_of(body: ReasonIn) -> str | None:
    repair_id = body.repair_id if isinstance(body, RetryIn | RerouteJobIn) else None
    if repair_id is not None and not is_id(repair_id):
        raise invalid_field("repair_id", "is no id", "take it from the repair, or leave it out")
    return None if repair_id is None else repair_id.lower()


def _why_not(transition: Transition, refused: Refused) -> str:
    if refused.repair_id is not None:
        return (
            f"The job ({refused.state}) is not the repair's to {transition} any more: the repair is over or has acted, "
            "or somebody else moved the job. Look at the job; without repair_id it can be moved all the same."
        )
    if refused.emptied:
        return f"Cannot {transition} a job whose request is not kept any more; submit it anew."
    allowed = ", ".join(sorted(sources(transition)))
    return f"Cannot {transition} a job that is {refused.state}; it must be one of: {allowed}."


def _report(transition: Transition, job_id: str, outcome: Outcome) -> dict[str, Any]:
    if outcome is None:
        detail = "There is no such job, or none that this key may see."
        return {"id": job_id, "outcome": "not_found", "state": None, "detail": detail}
    if isinstance(outcome, Refused):
        return {"id": job_id, "outcome": "refused", "state": outcome.state, "detail": _why_not(transition, outcome)}
    return {"id": job_id, "outcome": "done", "state": outcome.state, "detail": None}


def constraint_changes(body: RerouteIn) -> dict[str, Any]:
    """What was sent, laid out as `Constraints.to_json` does; null stands for none where a list or word is kept."""
    changes = body.model_dump(exclude_unset=True, exclude={"reason", "repair_id"})
    if changes.get("exclude", ()) is None:
        changes["exclude"] = []
    return {name: value for name, value in changes.items() if value is not None or name in ("pin", "region")}
