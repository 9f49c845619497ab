"""Jobs, deployments and failures for tests of the stages: each function fills in what a test does not care about."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipelines.heal.protocol import Case
from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.deployments import Capability, Deployment, Tier
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Claim, Constraints, Job, Request, Tenant
from synthralos.domain.money import Price
from synthralos.domain.plans import RoutingPlan, Step
from synthralos.domain.states import Lane, Stage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_deployment(
    deployment_id: str = "openai/gpt-4o@us",
    *,
    window: int = 128_000,
    max_output: int = 16_000,
    price: tuple[str, str] | None = ("1", "2"),
    tier: Tier = Tier.ECONOMY,
    capabilities: Iterable[Capability] = (),
    adapter: str = "openai",
    residency: str | None = None,
    zero_retention: bool = False,
) -> Deployment:
    """A deployment; `price` is USD per million tokens, in and out."""
    provider, _, rest = deployment_id.partition("/")
    model, _, region = rest.partition("@")
    return Deployment(
        id=deployment_id,
        provider=provider,
        model=model,
        region=region,
        adapter=adapter,
        upstream_model=model,
        base_url="http://127.0.0.1:1",
        context_window=window,
        max_output=max_output,
        price=None if price is None else Price(Decimal(price[0]), Decimal(price[1])),
        tier=tier,
        capabilities=frozenset(capabilities),
        residency=residency,
        zero_retention=zero_retention,
    )


def a_job(
    text: str = "Hello",
    *,
    model: str = "auto",
    plan: str = "pro",
    body: dict[str, Any] | None = None,
    constraints: Constraints | None = None,
    deadline: datetime | None = None,
    routing: RoutingPlan | None = None,
    claim_no: int = 1,
) -> Job:
    """A claimed job; `body` adds to a body with one user message of `text`."""
    return Job(
        id=new_id(),
        tenant=Tenant("acme", account_plan=plan),
        stage=Stage.GUARD,
        lane=Lane.BULK,
        trace_id="0" * 31 + "1",
        request=Request(model, {"messages": [{"role": "user", "content": text}], **(body or {})}),
        constraints=constraints or Constraints(),
        claim=Claim("worker", claim_no),
        created_at=NOON,
        deadline=deadline,
        plan=routing,
    )


def a_plan(*deployments: str, cursor: int = 0) -> RoutingPlan:
    """A plan that tries `deployments` in order."""
    return RoutingPlan("cheapest", tuple(Step(name, "test", Decimal("0.001")) for name in deployments), cursor=cursor)


def a_case(
    failure: Failure | FailureClass,
    plan: Sequence[str],
    tried: Sequence[str],
    *,
    constraints: Constraints | None = None,
    deadline: datetime | None = None,
    model: str = "auto",
    outcomes: Sequence[Outcome] = (),
) -> Case:
    """A case whose attempts went to `tried`, in that order, and failed with `failure` unless `outcomes` says else."""
    if isinstance(failure, FailureClass):
        failure = Failure(failure, "it failed")
    outcomes = outcomes or [Outcome.FAILED] * len(tried)
    history = [
        PastAttempt(number, name, outcome, failure, NOON)
        for number, (name, outcome) in enumerate(zip(tried, outcomes, strict=True), 1)
    ]
    cursor = plan.index(tried[-1]) if tried and tried[-1] in plan else 0
    routing = a_plan(*plan, cursor=cursor) if plan else None
    job = a_job(model=model, constraints=constraints, deadline=deadline, routing=routing)
    return Case(job, failure, history, NOON)
