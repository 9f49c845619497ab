"""Routing plans: what it costs to decide about a job by its policies and to plan where it goes.

Cold: every job demands something that was never asked before, so that nothing of an earlier one helps. Warm: the jobs
are alike in what decides, as most are. Each figure is CPU for one job, the best of some rounds.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from benchmarks.policies import policies
from benchmarks.report import figure, say
from benchmarks.workload import job as sent
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.deployments import Capability, Catalog, Deployment, Tier
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Claim, Constraints, Job, Request, Tenant
from synthralos.domain.money import Price, Rates, ServiceTier, Tariff
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane, Stage

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
ROUNDS = 5

_REGIONS = ("us", "eu", "global", "us")
_TIERS = (Tier.ECONOMY, Tier.STANDARD, Tier.PREMIUM)
_WINDOWS = (32_000, 128_000, 200_000, 1_000_000)


def main(smoke: bool) -> None:
    """100 deployments with 50 rules, 1,000 with 1,000, and 50 rules in CEL."""
    count = 20 if smoke else 300
    for deployments, rules, scale, unit, name in (
        (100, 50, 1e6, "us", "plan_us_100"),
        (1_000, 1_000, 1e3, "ms", "plan_ms_1000"),
    ):
        jobs = count if deployments == 100 else max(count // 10, 5)
        catalog = Catalog([_deployment(number) for number in range(deployments)])
        decide = policies(rules)
        figure(name, _seconds(catalog, decide, _cold(jobs), _other) * scale, unit)
        figure(f"{name}_warm", _seconds(catalog, decide, _warm(jobs), _warm(jobs)) * scale, unit)
        figure(f"{name}_plan_alone", _seconds(catalog, None, _cold(jobs), _other) * scale, unit)
    cel = policies(50, cel=True)
    figure("cel_ms_50", _seconds(Catalog([_deployment(1)]), cel, _warm(20), _warm(20)) * 1e3, "ms")


Jobs = Callable[[], Sequence[Job]]


def _seconds(catalog: Catalog, decide: CompiledPolicies | None, jobs: Jobs, warmed: Jobs) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        stage = RouteStage(catalog, STRATEGIES, lambda _: None)
        stage.plan(warmed())
        batch = jobs()
        began = time.process_time()
        for each in batch:
            if decide is not None:
                decide.decide(Facts(NOW, Source(each)))
            [plan] = stage.plan([each])
            assert isinstance(plan, RoutingPlan), plan
        best = min(best, (time.process_time() - began) / len(batch))
    say(f"  {len(catalog):,} deployments: {best * 1e6:,.1f} us a job, {len(plan.steps)} steps of the last plan")
    return best


def _other() -> Sequence[Job]:
    return [_job(0, 10**6)]


def _cold(count: int) -> Jobs:
    """Jobs each of which differs from all others in the answer's length, which decides about windows and costs."""
    return lambda: [_job(number, 100 + number) for number in range(count)]


def _warm(count: int) -> Jobs:
    return lambda: [_job(number % 8, 256) for number in range(count)]


def _job(number: int, most: int) -> Job:
    body = {"messages": [{"role": "user", "content": sent(number)["prompt"]}], "max_output_tokens": min(most, 4_000)}
    return Job(
        id=new_id(),
        tenant=Tenant("bench", account_plan="pro"),
        stage=Stage.ROUTE,
        lane=Lane.BULK,
        trace_id="0" * 32,
        request=Request("auto", body),
        constraints=Constraints(exclude=(f"maker-{number % 7}/model-{number % 50}@us",)),
        claim=Claim("worker", 1),
        created_at=NOW,
        metadata=sent(number)["metadata"],
    )


def _deployment(number: int) -> Deployment:
    """Of several makers, regions, classes, windows and prices, as in a catalog."""
    price = Decimal(number % 97 + 1) / 20
    long = Rates(price * 2, price * 6)
    return Deployment(
        id=f"maker-{number % 7}/model-{number}@{_REGIONS[number % 4]}",
        provider=f"maker-{number % 7}",
        model=f"model-{number}",
        region=_REGIONS[number % 4],
        adapter="openai",
        upstream_model=f"model-{number}",
        base_url="http://127.0.0.1:1",
        context_window=_WINDOWS[number % 4],
        max_output=4_000 if number % 3 else 2_000,
        price=Price(
            price,
            price * 4,
            price / 10,
            "2026-03-01",
            above=((128_000, long),),
            service_tiers={ServiceTier.FLEX: Tariff(Rates(price / 2, price * 2))},
        ),
        tier=_TIERS[number % 3],
        capabilities=frozenset({Capability.TOOLS}),
    )
