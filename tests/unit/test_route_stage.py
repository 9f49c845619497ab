import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipelines.route.filters import DEFAULT_OUTPUT
from pipelines.route.protocol import CacheUse, Candidate
from pipelines.route.stage import RouteStage, rounded_up
from pipelines.route.strategies import STRATEGIES, Cheapest
from synthralos.domain.deployments import Catalog, Deployment, Tier
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import Price, Rates
from synthralos.domain.plans import RoutingPlan, Step
from tests.fakes.stage_jobs import a_deployment, a_job

SMALL = a_deployment("openai/small@us", window=8_000, max_output=4_000, price=("1", "1"))
LARGE = a_deployment("openai/large@us", window=100_000, price=("2", "2"))
EUROPEAN = a_deployment("openai/large@eu", window=100_000, price=("3", "3"))
UNPRICED = a_deployment("local/free@us", window=100_000, price=None)
CATALOG = Catalog([UNPRICED, EUROPEAN, LARGE, SMALL])


def offered(deployment: Deployment) -> str | None:
    return None


def stage(*deployments: Deployment, why_not: Callable[[Deployment], str | None] = offered) -> RouteStage:
    return RouteStage(Catalog(list(deployments)) if deployments else CATALOG, STRATEGIES, why_not)


def routed(job: Job, where: RouteStage | None = None) -> RoutingPlan:
    [plan] = (where or stage()).plan([job])
    assert isinstance(plan, RoutingPlan), plan
    return plan


def refused(job: Job, where: RouteStage | None = None) -> Failure:
    [failure] = (where or stage()).plan([job])
    assert isinstance(failure, Failure), failure
    return failure


def names(plan: RoutingPlan) -> list[str]:
    return [step.deployment for step in plan.steps]


def test_auto_may_use_everything_that_is_offered_cheapest_first() -> None:
    assert names(routed(a_job())) == [SMALL.id, LARGE.id, EUROPEAN.id, UNPRICED.id]


def test_what_is_not_offered_is_excluded_with_the_reason_given() -> None:
    plan = routed(a_job(), stage(why_not=lambda d: "no key" if d is SMALL else None))
    assert SMALL.id not in names(plan)
    assert [(e.deployment, e.reason) for e in plan.exclusions] == [(SMALL.id, "no key")]


def test_what_is_offered_is_asked_once_for_a_configuration() -> None:
    asked: list[str] = []
    where = stage(why_not=lambda d: asked.append(d.id))
    for _ in range(3):
        where.plan([a_job(), a_job("Hello " * 50)])
    assert sorted(asked) == sorted(d.id for d in CATALOG)


def test_the_estimate_takes_the_default_output_where_none_is_wanted() -> None:
    [step] = routed(a_job("x" * 388), stage(LARGE)).steps
    assert step.estimated_cost == Decimal(2) * (rounded_up(97 + 6) + DEFAULT_OUTPUT) / 1_000_000


def test_the_prices_of_the_day_count() -> None:
    now = [datetime(2026, 12, 31, 23, 59, tzinfo=UTC)]
    price = Price(Decimal(1), Decimal(1), later=(Price(Decimal(9), Decimal(9), valid_from="2027-01-01"),))
    dear, steady = replace(LARGE, price=price), a_deployment("x/steady@us", price=("3", "3"))
    where = RouteStage(Catalog([dear, steady]), STRATEGIES, offered, now=lambda: now[0])
    assert names(routed(a_job(), where)) == [dear.id, steady.id]
    now[0] = datetime(2027, 1, 1, tzinfo=UTC)
    assert names(routed(a_job(), where)) == [steady.id, dear.id]


def test_a_long_prompt_is_estimated_at_its_own_rates() -> None:
    price = Price(Decimal(1), Decimal(1), above=((1_000, Rates(Decimal(5), Decimal(5))),))
    where = stage(replace(LARGE, price=price))
    short, long = (routed(a_job("word " * n), where).steps[0].estimated_cost for n in (10, 5_000))
    assert short is not None
    assert long is not None
    assert short < Decimal("0.001")
    assert long > 5 * Decimal("0.005")


def test_a_plan_of_columns_is_the_plan_of_its_items() -> None:
    plan = routed(a_job(model=SMALL.model_name))
    plain = RoutingPlan(plan.strategy, tuple(plan.steps), tuple(plan.exclusions))
    assert (plain, plain.key) == (plan, plan.key)
    assert RoutingPlan.from_json(plan.to_json()) == plan
    assert plan.steps[-1] == [*plan.steps][-1]
    assert next(iter(plan.exclusions)) == plan.exclusions[0]


def test_the_estimated_cost_is_that_of_prompt_and_wanted_output() -> None:
    plan = routed(a_job("x" * 388, body={"max_output_tokens": 1_000}), stage(LARGE))
    tokens = rounded_up(97 + 6)
    assert plan.steps[0].estimated_cost == Decimal(2) * (tokens + 1_000) / 1_000_000


def test_an_unknown_price_is_an_unknown_estimate() -> None:
    assert routed(a_job(), stage(UNPRICED)).steps[0].estimated_cost is None


def test_without_fallback_only_the_first_choice_is_a_step() -> None:
    plan = routed(a_job(constraints=Constraints(fallback=False)))
    assert names(plan) == [SMALL.id]
    assert {e.deployment for e in plan.exclusions} == {LARGE.id, EUROPEAN.id, UNPRICED.id}


def test_a_pin_is_the_only_step() -> None:
    plan = routed(a_job(constraints=Constraints(pin=EUROPEAN.id)))
    assert (names(plan), plan.strategy) == ([EUROPEAN.id], "pinned")


def test_eu_data_stays_in_the_eu() -> None:
    assert names(routed(a_job(constraints=Constraints(classification="eu")))) == [EUROPEAN.id]


def test_a_long_prompt_skips_small_windows() -> None:
    plan = routed(a_job("hello " * 20_000))
    assert SMALL.id not in names(plan)
    assert LARGE.id in names(plan)


@pytest.mark.parametrize(("hellos", "fits"), [(7_994, True), (7_995, False)])
def test_near_the_window_tokens_are_counted_exactly(hellos: int, fits: bool) -> None:
    assert (SMALL.id in names(routed(a_job(" hello" * hellos)))) is fits


def test_jobs_that_are_alike_share_a_plan_and_others_do_not() -> None:
    where = stage()
    first, second, other = where.plan([a_job("Hello"), a_job("World"), a_job("Hello", model=LARGE.id)])
    assert first is second
    assert first != other


@pytest.mark.parametrize(
    ("job", "where", "failure_class"),
    [
        (a_job("hello " * 300_000), stage(), FailureClass.CONTEXT_LENGTH),
        (a_job("hello " * 20_000, model="small"), stage(), FailureClass.CONTEXT_LENGTH),
        (a_job(), stage(why_not=lambda d: "no key"), FailureClass.CREDENTIAL),
        (a_job(model="small"), stage(why_not=lambda d: "no key"), FailureClass.CREDENTIAL),
        (a_job(constraints=Constraints(max_cost=Decimal(0))), stage(), FailureClass.BUDGET),
        (a_job(model="nobody/knows"), stage(), FailureClass.INVALID_REQUEST),
        (a_job(constraints=Constraints(region="mars")), stage(), FailureClass.INVALID_REQUEST),
        (a_job(constraints=Constraints(pin="nobody/knows@us")), stage(), FailureClass.INVALID_REQUEST),
        (a_job(plan="free"), stage(a_deployment(tier=Tier.PREMIUM)), FailureClass.INVALID_REQUEST),
    ],
)
def test_when_nothing_is_left_the_failure_says_what_kept_them_away(
    job: Job, where: RouteStage, failure_class: FailureClass
) -> None:
    assert refused(job, where).failure_class is failure_class


def test_mixed_reasons_make_an_invalid_request_that_lists_them_all() -> None:
    job = a_job("hello " * 20_000, constraints=Constraints(max_cost=Decimal("0.000001")))
    failure = refused(job, stage(SMALL, LARGE))
    assert failure.failure_class is FailureClass.INVALID_REQUEST
    assert all(fact in failure.message for fact in (SMALL.id, LARGE.id, "window", "max_cost"))


def test_deployments_that_were_not_asked_for_are_not_listed_beside_those_that_were() -> None:
    failure = refused(a_job("hello " * 20_000, model="small"))
    assert SMALL.id in failure.message
    assert LARGE.id not in failure.message


def test_an_empty_catalog_is_a_failure_and_no_crash() -> None:
    where = RouteStage(Catalog([]), STRATEGIES, offered)
    assert refused(a_job(), where).failure_class is FailureClass.INVALID_REQUEST


def test_an_unknown_strategy_is_refused_by_its_field() -> None:
    failure = refused(a_job(constraints=Constraints(strategy="luckiest")))
    assert failure.failure_class is FailureClass.INVALID_REQUEST
    assert all(fact in failure.message for fact in ("constraints.strategy", "luckiest", "cheapest"))


class Alternating:
    """A strategy that never ranks twice alike."""

    name = "alternating"
    repeatable = False
    cache_use = CacheUse.NOTHING

    def __init__(self) -> None:
        self._turns = 0

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        self._turns += 1
        return Cheapest().rank(job, candidates)[:: 1 if self._turns % 2 else -1]


def test_a_strategy_that_is_not_repeatable_is_asked_for_every_job() -> None:
    where = RouteStage(CATALOG, {"alternating": Alternating()}, offered)
    job = a_job(constraints=Constraints(strategy="alternating"))
    first, second = where.plan([job, job])
    assert isinstance(first, RoutingPlan)
    assert isinstance(second, RoutingPlan)
    assert names(first) == names(second)[::-1]


class Broken:
    """A strategy with a bug."""

    name = "broken"
    repeatable = True
    cache_use = CacheUse.NOTHING

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        raise ZeroDivisionError


def test_a_strategy_that_raises_fails_its_job_and_spares_the_neighbours(caplog: pytest.LogCaptureFixture) -> None:
    where = RouteStage(CATALOG, {**STRATEGIES, "broken": Broken()}, offered)
    odd = a_job(constraints=Constraints(strategy="broken"))
    failure, plan = where.plan([odd, a_job()])
    assert isinstance(plan, RoutingPlan)
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.INTERNAL
    assert [odd.id in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [True]


@pytest.mark.parametrize(("tokens", "rounded"), [(0, 0), (63, 63), (64, 64), (65, 66), (1_000, 1_008), (1_008, 1_008)])
def test_estimates_are_rounded_up_to_six_binary_digits(tokens: int, rounded: int) -> None:
    assert rounded_up(tokens) == rounded


def test_routing_does_not_change_the_job() -> None:
    job: Any = a_job(constraints=Constraints(classification="eu"))
    before = repr(job)
    routed(job)
    assert repr(job) == before
