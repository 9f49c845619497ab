"""Promise 4 over many random catalogs: EU data never gets a step where residency is not `eu`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from pipelines.route.affinity import Prefix
from pipelines.route.observed import Observed, Seconds
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import strategies
from pipelines.tokens import TokenCounter
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Capability, Catalog, Deployment, Tier
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.money import Price
from synthralos.domain.overlays import Overlay
from synthralos.domain.plans import RoutingPlan
from tests.fakes.stage_jobs import a_deployment, a_job

COUNTER = TokenCounter()
STRATEGY_NAMES = (*["cheapest", "pinned", "fastest", "weighted"] * 10, "quality_aware")
"""The last one reads every prompt, which takes its time."""

CATALOGS, JOBS = 400, 200
"""Each job is routed twice, as it came and rerouted: 160,000 cases, two in three with data that belongs in the EU."""

REGIONS = ("eu", "us", "global", "eu-west", "westeurope", "europe-west4", "EU")
RESIDENCIES = (None, "eu", "eu", "us", "global", "eu-west", "europe")
PROVIDERS = ("openai", "google", "sandbox")
MODELS = ("small", "large")


VERDICTS = (
    *[None] * 12,
    *(
        Verdict(Decision.ALLOW, (), overlay)
        for overlay in (
            Overlay(regions=frozenset({"us", "westeurope", "global"})),
            Overlay(regions=frozenset({"eu"})),
            Overlay(prefer=("sandbox/*", "openai/large")),
            Overlay(forbidden_models=frozenset({"google/*"})),
            Overlay(tier=Tier.STANDARD, prefer=("google/small",)),
            Overlay(max_cost=Decimal("0.01")),
        )
    ),
)
"""What policies demand besides: also what would lead elsewhere."""


def a_catalog(rng: Random) -> Catalog:
    every = [f"{provider}/{model}@{region}" for provider in PROVIDERS for model in MODELS for region in REGIONS]
    return Catalog([random_deployment(rng, name) for name in rng.sample(every, rng.randint(1, 8))])


def random_deployment(rng: Random, name: str) -> Deployment:
    found = a_deployment(
        name,
        window=rng.choice([1_000, 128_000]),
        max_output=1_000,
        price=rng.choice([None, ("0", "0"), ("3", "15"), ("0.05", "0.4")]),
        tier=rng.choice(list(Tier)),
        capabilities=rng.sample([c for c in Capability if c is not Capability.EMBEDDINGS], 2),
        adapter="sandbox" if name.startswith("sandbox/") else "openai",
        residency=rng.choice(RESIDENCIES),
    )
    cached = Price(Decimal(3), Decimal(15), cached=Decimal("0.3"))
    return replace(found, price=cached) if rng.random() < 0.9 else found


def a_random_job(rng: Random, ids: list[str]) -> Job:
    wanted = Constraints(
        region=rng.choice([None] * 20 + [*REGIONS]),
        classification=rng.choice(["eu", "EU", " eu ", "eu", "none", None]),
        strategy=rng.choice(STRATEGY_NAMES),
        fallback=rng.random() < 0.8,
        pin=rng.choice([None] * 20 + ids),
        exclude=tuple(rng.sample(ids, rng.choice([0, 0, 1]))),
    )
    model = rng.choice(["auto"] * 20 + [*MODELS, *ids])
    body = rng.choice([None, None, {"tools": [{"type": "function"}]}, {"max_output_tokens": 900}])
    job = a_job("Hello" * rng.choice([1, 400, 1_000, 1_000]), model=model, plan=rng.choice(["free", "pro"]), body=body,
                constraints=wanted)  # fmt: skip
    job.verdict = rng.choice(VERDICTS)
    return job


def reroute(rng: Random, job: Job, ids: list[str]) -> Job:
    """As the store does it: changes of an operator over the job's constraints, and what heal excludes."""
    possible: dict[str, Any] = {
        "region": rng.choice([None, *REGIONS]),
        "pin": rng.choice([None, *ids]),
        "exclude": rng.sample(ids, rng.choice([0, 1])),
        "fallback": rng.random() < 0.5,
        "strategy": rng.choice(STRATEGY_NAMES),
    }
    changes = {name: possible[name] for name in rng.sample(sorted(possible), rng.randint(0, len(possible)))}
    return replace(job, constraints=Constraints.from_json({**job.constraints.to_json(), **changes}))


def stage_without(catalog: Catalog, away: frozenset[str], rng: Random) -> RouteStage:
    """What answered soonest, or from a prompt cache lately, may be any deployment: also one where a job may not go."""
    ids = [deployment.id for deployment in catalog]
    seen = Observed({name: Seconds(rng.choice([0.1, 5.0, 90.0]), 120.0) for name in rng.sample(ids, len(ids) // 2)})
    table = strategies(built_in_quality(), lambda: seen)

    def warm(organization: str, prefix: Prefix) -> Sequence[str]:
        return rng.sample(ids, rng.randint(0, len(ids)))

    offered = dict.fromkeys(away, "away")
    return RouteStage(catalog, table, lambda d: offered.get(d.id), counter=COUNTER, warm=warm, observed=lambda: seen)


def test_eu_data_goes_nowhere_else_in_a_hundred_thousand_random_cases() -> None:
    rng, seen = Random(20_261_126), Counter[str]()
    for _ in range(CATALOGS):
        catalog = a_catalog(rng)
        ids = [deployment.id for deployment in catalog]
        away = frozenset(rng.sample(ids, rng.randint(0, len(ids) // 2)))
        stage = stage_without(catalog, away, rng)
        jobs = [a_random_job(rng, ids) for _ in range(JOBS)]
        jobs += [reroute(rng, job, ids) for job in jobs]
        for job, plan in zip(jobs, stage.plan(jobs), strict=True):
            if (job.constraints.classification or "").strip().lower() != "eu":
                continue
            seen["bound"] += 1
            seen["ruled"] += job.verdict is not None
            if isinstance(plan, RoutingPlan):
                seen["placed"] += 1
                seen["by_cache"] += plan.steps[0].prompt_cache is not None
                called = [catalog.get(step.deployment) for step in plan.steps]
                assert all(d is not None and d.residency == "eu" for d in called), (job, plan)
    least = {"bound": 100_000, "placed": 10_000, "ruled": 20_000, "by_cache": 500}
    assert {name: seen[name] for name in least if seen[name] < least[name]} == {}
