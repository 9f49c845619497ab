"""Agent runs over HTTP: their steps, what they cost, and going on from the last good one."""

from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.run_caps import RunCapsView, caps_of
from api.v1.run_forks import ForkView, fork_of
from api.v1.thoughts import ThoughtView, thought_view
from api.v1.views import Cost, FailureView, View
from pipelines.analyze.trace import cost_view, rfc3339
from pipelines.intake.schema import ReasonIn
from synthralos.control.operator import Actor
from synthralos.domain.permissions import Permission
from synthralos.domain.runs import Run, RunJob, RunState, Step
from synthralos.domain.states import State
from synthralos.store.queue.operations import Changed
from synthralos.store.queue.thoughts import Noted

router = APIRouter(prefix="/api/v1/runs", tags=["healing"])

RunId = Annotated[str, Path(min_length=1, max_length=64, description="the `run_id` of its jobs")]

_AT_ONCE = 50
"""Jobs that one turn of a thread retries, so that a large run holds up nobody else for long."""


class RunJobView(View):
    """One job of a step."""

    id: str
    state: State
    created_at: AwareDatetime
    finished_at: AwareDatetime | None
    run_at: Annotated[AwareDatetime | None, Field(description="parked: until then")]
    attempts: int
    cost: Cost
    failure: FailureView | None


class StepView(View):
    """A step: what has one name and one input. `state` is that of the newest job that succeeded, else of the newest."""

    name: Annotated[str | None, Field(description="`metadata.step` of its jobs; null: the job named none")]
    input: Annotated[str, Field(description="names what was asked by its content")]
    state: State
    job_id: Annotated[str, Field(description="the job that counts")]
    recoverable: Annotated[bool, Field(description="it ended badly, and `recover` would send it through again")]
    jobs: list[RunJobView]


class RunView(View):
    """A run."""

    id: str
    state: RunState
    steps: list[StepView]
    jobs: int
    cost: Cost
    started_at: AwareDatetime
    ended_at: Annotated[AwareDatetime | None, Field(description="null while a job is open")]
    thoughts: Annotated[list[ThoughtView], Field(description="the newest 500 of its jobs, oldest first")]
    caps: Annotated[
        list[RunCapsView], Field(description="one at most for a key of an organization; empty: the run has none")
    ]
    fork: Annotated[ForkView | None, Field(description="where it comes from; null: it is no fork")]
    more: Annotated[bool, Field(description="it has more jobs than the 10,000 newest, which were looked at")]


class RecoverIn(ReasonIn):
    """How to go on."""

    steps: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]] | None,
        Field(
            max_length=10_000, fail_fast=True, description="the steps that the run should have: missing ones are told"
        ),
    ] = None


class RecoveredView(View):
    """What became of the steps."""

    kept: Annotated[list[str], Field(description="jobs of finished steps: nothing is paid for them again")]
    retried: Annotated[list[str], Field(description="jobs that were sent through again")]
    open: Annotated[list[str], Field(description="jobs that are under way")]
    missing: Annotated[list[str], Field(description="expected steps that no job has: submit them")]
    run: RunView


@router.get("/{run_id}", **documented(RunView, "The run", found=True, validated=True))
async def get_run(request: Request, run_id: RunId) -> Response:
    """A run: its steps in order, their jobs, their states, and what it has cost."""
    room, caller = await admit(request, Permission.READ_JOBS)
    run = await _read(room, caller, run_id)
    return answer(await _shown(room, caller, run))


@router.post(
    "/{run_id}/recover",
    **documented(RecoveredView, "What became of the steps", found=True, validated=True, body=True),
    openapi_extra=takes(RecoverIn, required=False),
)
async def recover_run(request: Request, run_id: RunId) -> Response:
    """Go on from the last good step: finished steps are kept, those that ended badly are sent through again.

    Repeating it does nothing twice: what was sent through is open, or finished.
    """
    room, caller = await admit(request, Permission.RETRY_JOBS)
    body = await read_document(request, room, RecoverIn, optional=True)
    before = await _read(room, caller, run_id)
    wanted = [step.job.id for step in before.recoverable]
    actor = Actor(caller.actor, caller.scope, body.reason)
    retried: list[str] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        outcomes = await room.write(partial(room.operator.retry, some, actor))
        retried += [job_id for job_id, outcome in zip(some, outcomes, strict=True) if isinstance(outcome, Changed)]
    after = await _read(room, caller, run_id)
    counted = [step.job for step in after.steps]
    return answer(
        {
            "kept": [job.id for job in counted if job.state is State.SUCCEEDED],
            "retried": retried,
            "open": [job.id for job in counted if job.finished_at is None and job.id not in retried],
            "missing": after.missing(body.steps or ()),
            "run": await _shown(room, caller, after),
        }
    )


async def _read(room: Room, caller: Caller, run_id: str) -> Run:
    found = await room.read(lambda: room.runs.read(run_id, caller.scope))
    if found is None:
        raise not_found("There is no such run, or none that this key may see. It is the jobs that name it as run_id.")
    return found


async def _shown(room: Room, caller: Caller, run: Run) -> dict[str, Any]:
    thoughts = await room.read(lambda: room.thoughts.of_run(run.id, caller.scope))
    fork = await fork_of(room, caller, run.id)
    return {**_view(run, thoughts), "caps": await caps_of(room, caller, run.id), "fork": fork}


def _view(run: Run, thoughts: list[Noted]) -> dict[str, Any]:
    jobs = run.jobs
    ended = [job.finished_at for job in jobs if job.finished_at is not None]
    known, cost = all(job.cost_known for job in jobs), sum((job.cost for job in jobs), start=Decimal(0))
    return {
        "id": run.id,
        "state": run.state,
        "steps": [_step(step) for step in run.steps],
        "jobs": len(jobs),
        "cost": cost_view(cost, known, sum(job.maybe_billed for job in jobs)),
        "started_at": rfc3339(min(job.created_at for job in jobs)),
        "ended_at": rfc3339(max(ended)) if len(ended) == len(jobs) else None,
        "thoughts": [thought_view(noted) for noted in thoughts],
        "more": run.more,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "input": step.input_key,
        "state": step.job.state,
        "job_id": step.job.id,
        "recoverable": step.recoverable,
        "jobs": [_job(job) for job in step.jobs],
    }


def _job(job: RunJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "created_at": rfc3339(job.created_at),
        "finished_at": rfc3339(job.finished_at),
        "run_at": rfc3339(job.run_at),
        "attempts": job.attempts,
        "cost": cost_view(job.cost, job.cost_known, job.maybe_billed),
        "failure": job.failure,
    }
