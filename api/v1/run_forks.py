"""Forks of agent runs over HTTP: a step asked anew in another way, with what was finished before it kept."""

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import Problem, conflict, invalid_field, not_found, of_document, unavailable
from api.room import Room, admit
from api.v1.idempotency import fingerprint
from api.v1.run_caps import RunId, bind
from api.v1.submit import plans_of
from api.v1.views import View
from pipelines.intake.closed import Closed
from pipelines.intake.dead_letters import exported_job
from pipelines.intake.errors import InvalidJob
from pipelines.intake.parse import build, parse, utc_now
from pipelines.intake.schema import Name, Reason
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import NewJob
from synthralos.domain.permissions import Permission
from synthralos.domain.run_forks import Fork, kept_before, steps_named, to_submit
from synthralos.domain.runs import Run, Step
from synthralos.store.admin.audit import By
from synthralos.store.queue.submissions import Idempotency, KeyReused, Submission
from synthralos.store.sql.errors import StoreBusy, StoreUnavailable

router = APIRouter(prefix="/api/v1/runs", tags=["healing"])


class ForkIn(Closed):
    """From which step, and what is to be different. Without a difference the step is asked again as it was."""

    from_step: Annotated[str, Field(min_length=1, max_length=512, description="its name, or the id of a job of it")]
    run_id: Annotated[
        Name | None, Field(max_length=64, description="of the new run; with it, the call may be repeated")
    ] = None
    model: Annotated[str | None, Field(min_length=1, max_length=256, description="instead of the step's")] = None
    input: Annotated[
        str | list[Any] | None,
        Field(description="instead of the step's: messages or one user message; the texts of an embedding job"),
    ] = None
    constraints: Annotated[
        dict[str, Any] | None, Field(description="members that take the place of the step's; null removes one")
    ] = None
    reason: Reason = ""


class KeptStepView(View):
    """A finished step that is not paid again: its answer is that of the parent's job."""

    name: str | None
    input: str
    job_id: str
    cost_usd: str
    cost_known: bool


class ForkView(View):
    """Where a run comes from."""

    parent: str
    from_step: Annotated[str, Field(description="the parent's job that was asked anew")]
    differs: Annotated[
        dict[str, Any], Field(description="`model` and `constraints` with `from` and `to`; `input: true` where it was")
    ]
    kept: list[KeptStepView]
    saved_usd: Annotated[str, Field(description="what the kept steps have cost")]
    saved_known: Annotated[bool, Field(description="false: some of it is not known, and not in the sum")]


class ForkedView(View):
    """The new run."""

    run_id: str
    job_id: Annotated[str, Field(description="the step, asked anew")]
    missing: Annotated[list[str], Field(description="steps that are not finished, or came later: submit them")]
    fork: ForkView


class _Asked(NamedTuple):
    """The step's job as it was asked, as it is to be asked, and in what they differ."""

    job: NewJob
    differs: dict[str, Any]


@router.post(
    "/{run_id}/fork",
    **documented(ForkedView, "The new run", found=True, validated=True, conflicting=True, body=True, status=201),
    openapi_extra=takes(ForkIn, required=True),
)
async def fork_run(request: Request, run_id: RunId) -> Response:
    """Make a new run from a step of this one: finished steps before it are kept and cost nothing, it is asked anew.

    With a `run_id`, the same call again gives the same run.
    """
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    wanted = await read_document(request, room, ForkIn)
    run = await room.read(lambda: room.runs.read(run_id, caller.scope))
    if run is None:
        raise not_found("There is no such run, or none that this key may see. It is the jobs that name it as run_id.")
    step = _step(run, wanted.from_step)
    new_run = wanted.run_id or new_id()
    asked = await _asked(room, caller, step, wanted, new_run)
    parent = await room.read(lambda: room.run_forks.of_run(run_id, caller.scope))
    kept = kept_before(run, step, () if parent is None else parent.kept)
    fork = Fork(new_run, run_id, step.job.id, kept, asked.differs)
    print_ = fingerprint([run_id, wanted.model_dump(mode="json", exclude={"reason"})])
    by = By(caller.actor, wanted.reason)
    if not await room.write(lambda: room.run_forks.create(fork, asked.job.tenant, print_, by)):
        raise conflict(f"There is a run {new_run} already, which is another: choose another run_id.")
    made = await room.read(lambda: room.run_forks.of_run(new_run, caller.scope)) or fork
    job_id = await _submit(room, asked.job, Idempotency(f"\tfork\n{new_run}", print_))
    return answer({"run_id": new_run, "job_id": job_id, "missing": to_submit(run, step), "fork": made.to_json()}, 201)


async def fork_of(room: Room, caller: Caller, run_id: str) -> dict[str, Any] | None:
    """Where the run comes from, as it is published."""
    found = await room.read(lambda: room.run_forks.of_run(run_id, caller.scope))
    return None if found is None else found.to_json()


def _step(run: Run, named: str) -> Step:
    found = steps_named(run, named)
    if not found:
        raise invalid_field("from_step", "is no step of the run", "send the name of a step, or the id of its job")
    if len(found) > 1:
        ids = ", ".join(step.job.id for step in found[:5])
        raise invalid_field("from_step", f"names {len(found)} steps", f"send the id of a job instead: {ids}")
    return found[0]


async def _asked(room: Room, caller: Caller, step: Step, wanted: ForkIn, run_id: str) -> _Asked:
    """Raises a 422 where what is changed makes no job."""
    rows = await room.read(lambda: room.reader.jobs([step.job.id], caller.scope))
    if step.job.id not in rows:
        raise not_found("The job of the step is not kept any more.")
    before = exported_job(rows[step.job.id])
    after = _changed(before, wanted) | {"run_id": run_id}
    now = utc_now()
    try:
        parsed = parse(after, room.checks, now)
        plans = await plans_of(room, parsed, caller.scope, caller.key.plan)
        [job] = build(parsed, caller.scope, plans, None, now)
        job.api_key_id = caller.key.id
        bind(room.core.live.current, [job], now, many=False)
    except InvalidJob as error:
        raise of_document(error) from None
    return _Asked(job, _differs(before, after))


def _changed(before: dict[str, Any], wanted: ForkIn) -> dict[str, Any]:
    after = dict(before)
    if wanted.model is not None:
        after["model"] = wanted.model
    if wanted.input is not None:
        embeds = "input" in before
        for name in ("prompt", "messages", "input"):
            after.pop(name, None)
        after["input" if embeds else "prompt" if isinstance(wanted.input, str) else "messages"] = wanted.input
    if wanted.constraints is not None:
        merged = {**(before.get("constraints") or {}), **wanted.constraints}
        after["constraints"] = {name: value for name, value in merged.items() if value is not None}
    return after


def _differs(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    asked = ("prompt", "messages", "input")
    differs: dict[str, Any] = {
        name: {"from": before.get(name), "to": after.get(name)}
        for name in ("model", "constraints")
        if (before.get(name) or None) != (after.get(name) or None)
    }
    if any(before.get(name) != after.get(name) for name in asked):
        differs["input"] = True
    return differs


async def _submit(room: Room, job: NewJob, used: Idempotency) -> str:
    """The id of the job; raises a 503 where the database does not confirm."""
    try:
        accepted = await room.accept(Submission([job], used), 0)
    except (StoreBusy, StoreUnavailable):
        raise _unconfirmed() from None
    assert not isinstance(accepted, KeyReused)
    return accepted.job_ids[0]


def _unconfirmed() -> Problem:
    return unavailable("The database did not confirm in time. Send it again with the same run_id.")
