"""Which service tier a job's calls ask for, and what becomes of it where that has no room."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import orjson
import pytest

from pipelines.heal.protocol import Case, NextDeployment
from pipelines.heal.table import build_remedies
from pipelines.providers.http_failures import failure_of, read_error
from pipelines.providers.openai_wire import encode
from pipelines.route.service_tiers import FLEX_ROOM
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import Price, Rates, ServiceTier, Tariff
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane
from tests.fakes.stage_jobs import NOON, a_deployment, a_job

FLEX, PRIORITY, STANDARD = ServiceTier.FLEX, ServiceTier.PRIORITY, ServiceTier.STANDARD
TIERS = {tier: Tariff(Rates(Decimal(price), Decimal(price))) for tier, price in ((FLEX, 2), (PRIORITY, 8))}
TIERED = replace(a_deployment("openai/tiered@us"), price=Price(Decimal(4), Decimal(4), service_tiers=TIERS))
PLAIN = a_deployment("other/plain@us", price=("3", "3"))


def plan_of(job: Job) -> RoutingPlan:
    stage = RouteStage(Catalog([TIERED, PLAIN]), STRATEGIES, lambda _: None, now=lambda: NOON)
    [plan] = stage.plan([job])
    assert isinstance(plan, RoutingPlan), plan
    return plan


def steps_of(job: Job) -> list[tuple[str, ServiceTier]]:
    return [(step.deployment, step.service_tier) for step in plan_of(job).steps]


def job_of(tier: str | None, *, seconds: float | None = None, lane: Lane = Lane.BULK, fallback: bool = True) -> Job:
    job = a_job(constraints=Constraints(service_tier=tier, fallback=fallback))  # type: ignore[arg-type]
    job.lane, job.deadline = lane, None if seconds is None else NOON + timedelta(seconds=seconds)
    return job


AS_EVER = [(PLAIN.id, STANDARD), (TIERED.id, STANDARD)]
BY_FLEX = [(TIERED.id, FLEX), (TIERED.id, STANDARD), (PLAIN.id, STANDARD)]


@pytest.mark.parametrize(
    ("job", "steps"),
    [
        (job_of(None), AS_EVER),
        (job_of("standard"), AS_EVER),
        (job_of("flex"), BY_FLEX),
        (job_of("flex", lane=Lane.INTERACTIVE), BY_FLEX),
        (job_of("auto"), BY_FLEX),
        (job_of("auto", lane=Lane.INTERACTIVE), AS_EVER),
        (job_of("auto", seconds=FLEX_ROOM), BY_FLEX),
        (job_of("auto", seconds=FLEX_ROOM - 1), AS_EVER),
        (job_of("priority"), [(PLAIN.id, STANDARD), (TIERED.id, PRIORITY)]),
        (job_of("flex", fallback=False), BY_FLEX[:2]),
    ],
    ids=range(10),
)
def test_flex_is_for_what_can_wait_and_is_followed_by_the_standard_tier(
    job: Job, steps: list[tuple[str, ServiceTier]]
) -> None:
    assert steps_of(job) == steps


def test_each_step_is_estimated_at_its_tier() -> None:
    flex, standard, _ = plan_of(job_of("flex")).steps
    assert flex.estimated_cost is not None
    assert standard.estimated_cost == 2 * flex.estimated_cost
    assert RoutingPlan.from_json(plan_of(job_of("flex")).to_json()).steps[0].service_tier is FLEX


def test_a_worst_case_counts_with_the_standard_tier_that_a_provider_may_serve() -> None:
    job = job_of("flex")
    job.constraints = replace(job.constraints, max_cost=Decimal("0.0021"))
    assert steps_of(job) == steps_of(job_of("flex"))
    job.constraints = replace(job.constraints, max_cost=Decimal("0.0009"))
    assert TIERED.id not in [deployment for deployment, _ in steps_of(job)]


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (429, {"error": {"code": "resource_unavailable", "message": "Resource unavailable"}}, "no_capacity"),
        (429, {"error": {"message": "429 Resource Unavailable: try later"}}, "no_capacity"),
        (400, {"error": {"message": "The service_tier 'flex' is not supported for this model"}}, "no_capacity"),
        (429, {"error": {"code": "rate_limit_exceeded", "message": "Rate limit reached"}}, "rate_limited"),
    ],
)
def test_flex_without_room_is_no_rate_limit(status: int, body: dict[str, object], found: str) -> None:
    assert failure_of(status, {}, read_error(orjson.dumps(body)), NOON).failure_class == found


@pytest.mark.parametrize("failure_class", [FailureClass.NO_CAPACITY, FailureClass.TIMEOUT])
def test_what_flex_does_not_take_goes_on_at_the_standard_tier(failure_class: FailureClass) -> None:
    job = job_of("flex")
    job.plan = plan_of(job)
    case = Case(job, Failure(failure_class, "no"), [], NOON)
    first, *_ = build_remedies(Random(1), Catalog([TIERED, PLAIN]))[failure_class]
    treatment = first.treat(case)
    assert isinstance(treatment, NextDeployment)
    assert treatment.cursor == 1
    job.plan = job.plan.at(1)
    assert first.treat(case) is None


def test_the_tier_is_asked_for_in_the_providers_word() -> None:
    request = a_job().request
    for tier, word in ((STANDARD, "default"), (FLEX, "flex"), (PRIORITY, "priority")):
        asked = replace(request, body={**request.body, "service_tier": str(tier)})
        assert orjson.loads(encode(asked, TIERED, "max_tokens"))["service_tier"] == word
    assert "service_tier" not in orjson.loads(encode(request, TIERED, "max_tokens"))
