"""Prompt-cache affinity beside what a strategy, a policy and a pin put first."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from pipelines.route.observed import Observed, Seconds
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import strategies
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Catalog, Deployment, Tier
from synthralos.domain.findings import PASSED
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.overlays import Overlay
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.prompt_caches import PromptCache
from tests.fakes.cached_prompts import ALIKE, cached, job, names, only


def asking(strategy: str, run: str | None = None) -> Job:
    return replace(job(constraints=Constraints(strategy=strategy)), run_id=run)


def ranked(
    strategy: str,
    deployments: Sequence[Deployment],
    warm: Sequence[str],
    seen: dict[str, Seconds],
    job: Job | None = None,
) -> RoutingPlan:
    observed = Observed(seen)
    table = strategies(built_in_quality(), lambda: observed)
    stage = RouteStage(Catalog(list(deployments)), table, lambda _: None, warm=only(*warm))
    [plan] = stage.plan([job or asking(strategy)])
    assert isinstance(plan, RoutingPlan), plan
    return plan


SOON, LATE = Seconds(1.0, 2.0), Seconds(9.0, 20.0)


def test_the_fastest_comes_first_whatever_is_cached_and_among_equally_fast_ones_the_cache_decides() -> None:
    quick, slow = ALIKE[:2], ALIKE[2:]
    seen = {each.id: SOON for each in quick} | {each.id: LATE for each in slow}
    for warm in (quick[0].id, quick[1].id):
        first = ranked("fastest", ALIKE, [warm], seen).steps[0]
        assert (first.deployment, first.prompt_cache) == (warm, PromptCache(1_024, True))
    assert ranked("fastest", ALIKE, [slow[0].id], seen).steps[0].deployment in {each.id for each in quick}
    dear = cached("a/dear@us", "4")
    plan = ranked("fastest", [quick[0], dear], [dear.id], {quick[0].id: SOON, dear.id: SOON})
    assert names(plan) == [dear.id, quick[0].id]
    uncached = ranked("fastest", [dear], [], {}).steps[0].estimated_cost
    assert uncached is not None
    assert plan.steps[0].estimated_cost == uncached - 1_024 * Decimal("3.7") / 1_000_000


@pytest.mark.parametrize("strategy", ["fastest", "quality_aware"])
def test_beginnings_spread_over_those_that_are_equally_good_and_stay_together(strategy: str) -> None:
    def first(organization: str, text: str = "Hello") -> str:
        asked = job(text, organization=organization, constraints=Constraints(strategy=strategy))
        plan = ranked(strategy, ALIKE, [], {}, asked)
        assert sorted(names(plan)) == sorted(each.id for each in ALIKE)
        assert plan.steps[0].prompt_cache == PromptCache(1_024, False)
        assert not any(step.prompt_cache for step in plan.steps[1:])
        return plan.steps[0].deployment

    assert {first(name) for name in map(str, range(60))} == {each.id for each in ALIKE}
    assert first("acme") == first("acme", "Another question")


def test_quality_comes_before_the_cache_and_the_cached_price_is_that_of_those_that_are_good_enough() -> None:
    weak = cached("a/weak@us", "3", tier=Tier.ECONOMY)
    strong = [cached(f"a/strong{n}@us", price, tier=Tier.PREMIUM) for n, price in enumerate(("3", "4"))]
    poor = ranked("quality_aware", [weak, *strong], [weak.id], {})
    rich = ranked("quality_aware", [weak, *strong], [strong[1].id], {})
    assert ranked("quality_aware", [weak, *strong], [], {}).steps[0].deployment == strong[0].id
    assert poor.steps[0].deployment == strong[0].id
    assert rich.steps[0].deployment == strong[1].id


def test_shares_of_weights_hold_whatever_is_cached_and_the_cost_is_the_cached_one() -> None:
    for run in map(str, range(20)):
        plain = ranked("weighted", ALIKE, [], {}, asking("weighted", run))
        first, second = plain.steps[:2]
        warm = ranked("weighted", ALIKE, [first.deployment, second.deployment], {}, asking("weighted", run))
        assert names(warm) == names(plain)
        assert [step.prompt_cache for step in warm.steps[:2]] == [PromptCache(1_024, True)] * 2
        assert first.estimated_cost is not None
        assert warm.steps[0].estimated_cost == first.estimated_cost - 1_024 * Decimal("2.7") / 1_000_000
        assert plain.steps[0].prompt_cache is None


def test_policies_and_pins_come_before_any_cache() -> None:
    preferring = replace(asking("fastest"), verdict=PASSED.demanding(Overlay(prefer=("a/m4",))))
    assert ranked("fastest", ALIKE, [ALIKE[0].id], {}, preferring).steps[0].deployment == "a/m4@us"
    pinned = job(constraints=Constraints(pin=ALIKE[1].id, strategy="fastest"))
    assert ranked("fastest", ALIKE, [ALIKE[0].id], {}, pinned).steps[0].deployment == ALIKE[1].id
