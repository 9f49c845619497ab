"""Builders for tests of the store and of everything above it: each fills in what a test does not care about.

They make what is handed in (`new_job`, `submission`) and what a worker writes (`start`, `settlement`) about a job that
was really claimed. For jobs that only pass through a stage's function, without a database, see `stage_jobs`.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from synthralos.domain.attempts import AttemptEnd, Billed, Outcome
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.ids import new_id, trace_id_of
from synthralos.domain.jobs import Constraints, Job, NewJob, Request, Tenant
from synthralos.domain.money import Price, Usage
from synthralos.domain.plans import RoutingPlan, Step
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.writes import Settlement, Start
from synthralos.store.queue.submissions import Idempotency, Submission

ACME = Tenant("acme", "main", "ann", "pro")
PRICE = Price(Decimal("0.15"), Decimal("0.6"), Decimal("0.075"), "2026-01-01")
USAGE = Usage(input=1000, output=500, cached=100, reasoning=50)

_NEXT_STAGE = {
    Transition.SUCCEED: Stage.ANALYZE,
    Transition.DENY: Stage.ANALYZE,
    Transition.FAIL: Stage.ANALYZE,
    Transition.CANCEL: Stage.ANALYZE,
    Transition.EXPIRE: Stage.ANALYZE,
    Transition.CONTINUE: Stage.HEAL,
    Transition.HAND_OVER: Stage.HEAL,
    Transition.PARK: Stage.EXECUTE,
}


def new_job(
    text: str = "Hello",
    *,
    tenant: Tenant = ACME,
    lane: Lane = Lane.BULK,
    model: str = "auto",
    constraints: Constraints | None = None,
    metadata: dict[str, Any] | None = None,
    deadline: datetime | None = None,
    run_id: str | None = None,
    trace_id: str | None = None,
    body: dict[str, Any] | None = None,
    provider_options: dict[str, dict[str, Any]] | None = None,
    line_tokens: int | None = None,
    api_key_id: str | None = None,
    user_bound: bool = False,
) -> NewJob:
    """A job as it is handed in: one user message of `text`; `body` adds to it."""
    job_id = new_id()
    return NewJob(
        id=job_id,
        tenant=tenant,
        lane=lane,
        trace_id=trace_id or trace_id_of(job_id),
        request=Request(
            model, {"messages": [{"role": "user", "content": text}], **(body or {})}, provider_options or {}
        ),
        constraints=constraints or Constraints(),
        run_id=run_id,
        metadata=metadata or {},
        deadline=deadline,
        line_tokens=line_tokens,
        api_key_id=api_key_id,
        user_bound=user_bound,
    )


def submission(*jobs: NewJob, key: str | None = None, fingerprint: str = "same") -> Submission:
    """What one call hands in, with an idempotency key where one is given."""
    return Submission(list(jobs) or [new_job()], None if key is None else Idempotency(key, fingerprint))


def deployment(deployment_id: str = "sandbox/small@eu", *, price: Price | None = PRICE) -> Deployment:
    """A deployment `provider/model@region` that nothing listens at."""
    provider, _, rest = deployment_id.partition("/")
    model, _, region = rest.partition("@")
    return Deployment(
        id=deployment_id,
        provider=provider,
        model=model,
        region=region,
        adapter="sandbox",
        upstream_model=model,
        base_url="http://127.0.0.1:1",
        context_window=128_000,
        max_output=16_000,
        price=price,
    )


def plan(*deployments: str, cursor: int = 0) -> RoutingPlan:
    """A plan that tries `deployments` in order."""
    names = deployments or ("sandbox/small@eu",)
    return RoutingPlan("cheapest", tuple(Step(name, "it is a test", Decimal("0.001")) for name in names), cursor=cursor)


def failure(failure_class: FailureClass = FailureClass.SERVER_ERROR) -> Failure:
    """A failure of that class."""
    return Failure(failure_class, f"a test made it {failure_class}", http_status=500)


def start(job: Job, attempt_no: int | None = None, *, reserved: Decimal | None = Decimal("0.001")) -> Start:
    """The start of the job's next attempt."""
    return Start(job, job.attempts + 1 if attempt_no is None else attempt_no, deployment(), reserved, plan())


def attempt_end(
    attempt_no: int,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    billed: Billed = Billed.YES,
    usage: Usage | None = USAGE,
    cost: Decimal | None = Decimal("0.0004425"),
) -> AttemptEnd:
    """The end of an attempt; a failed one carries a `server_error`."""
    return AttemptEnd(
        attempt_no,
        outcome,
        billed,
        usage,
        cost,
        failure() if outcome is Outcome.FAILED else None,
        provider_model="small-2026",
        provider_request_id=f"request-{attempt_no}",
        seconds=1.5,
    )


def settlement(
    job: Job,
    transition: Transition = Transition.SUCCEED,
    *,
    stage: Stage | None = None,
    delay: float | None = None,
    attempt: AttemptEnd | None = None,
    result: dict[str, Any] | None = None,
    failure: dict[str, Any] | None = None,
    **more: Any,
) -> Settlement:
    """What becomes of a job: `stage` follows from the transition; a parked job waits for a minute."""
    return Settlement(
        job,
        transition,
        stage or _NEXT_STAGE.get(transition, job.stage),
        delay=60.0 if delay is None and transition is Transition.PARK else delay,
        attempt=attempt,
        result={"text": "Hi"} if result is None and transition is Transition.SUCCEED else result,
        failure=failure,
        **more,
    )


def ids(jobs: Sequence[NewJob | Job]) -> list[str]:
    """Their ids, in order."""
    return [job.id for job in jobs]
