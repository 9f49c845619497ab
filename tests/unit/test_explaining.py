"""An explanation agrees with what a worker would do, and names the rules that keep a deployment away."""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from api.v1.routing import explanation_view
from pipelines.flow.explaining import Explainer
from pipelines.flow.stages import stage_builder
from synthralos.domain.deployments import Catalog, Tier
from synthralos.domain.failures import Failure
from synthralos.domain.findings import PASSED, Decision
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Constraints
from synthralos.domain.money import Price
from synthralos.domain.policies import PolicySet
from tests.fakes.stage_jobs import NOON, a_deployment, a_job
from tests.fakes.stages import a_config, a_limiter

CHEAP, DEAR, HOME = "fake/cheap@us", "fake/dear@us", "fake/home@eu"
CATALOG = Catalog(
    [
        a_deployment(CHEAP, adapter="sandbox", price=("1", "1"), tier=Tier.ECONOMY),
        a_deployment(DEAR, adapter="sandbox", price=("900", "900"), tier=Tier.PREMIUM),
        a_deployment(HOME, adapter="sandbox", price=("2", "2")),
    ]
)
ACTIONS: list[dict[str, Any]] = [
    {"action": "require_region", "regions": ["eu"]},
    {"action": "require_region", "regions": ["us"]},
    {"action": "forbid_models", "models": ["fake/cheap"]},
    {"action": "allow_models", "models": ["fake/home", "fake/dear"]},
    {"action": "prefer", "models": ["fake/dear"]},
    {"action": "set_tier", "tier": "standard"},
    {"action": "cap_cost", "usd": "0.01"},
    {"action": "flag", "reason": "seen"},
    {"action": "deny", "reason": "no"},
]


def a_set(number: int, *then: dict[str, Any], **more: Any) -> PolicySet:
    rules = [{"id": f"r{number}", "then": list(then)}]
    return PolicySet.from_json({"id": f"{number:04}", "name": f"set {number}", "version": 1, "rules": rules, **more})


def explainer(*policies: PolicySet, off: tuple[Flag, ...] = ()) -> Explainer:
    config = a_config(CATALOG, *off, policies=policies)
    return Explainer(config, stage_builder(Random(1), a_limiter())(config).route)


@pytest.mark.parametrize("seed", range(150))
def test_it_says_what_a_worker_would_do(seed: int) -> None:
    rng = Random(seed)
    policies = tuple(
        a_set(number, *rng.sample(ACTIONS, rng.randint(1, 2)), shadow=rng.random() < 0.2)
        for number in range(rng.randint(0, 3))
    )
    config = a_config(CATALOG, policies=policies)
    stages = stage_builder(Random(1), a_limiter())(config)
    wanted = Constraints(classification=rng.choice([None, "eu"]), strategy="cheapest")
    job = a_job("Hello", constraints=wanted, plan="pro")
    told = Explainer(config, stages.route).explain(job, NOON)
    [verdict] = stages.rulings.rule([job], [PASSED], NOON)
    job.verdict = verdict
    [planned] = stages.route.plan([job])
    assert told.explanation.outcome == planned
    if told.ruling.overlay.impossible() is None:
        assert told.ruling.decision == verdict.decision
    else:
        assert isinstance(planned, Failure)
        assert verdict.decision is Decision.DENY
    for each in told.explanation.exclusions:
        if each.reason.startswith("policies "):
            assert told.kept_away[each.deployment]


def test_only_the_rule_that_keeps_it_away_is_named() -> None:
    told = explainer(
        a_set(1, {"action": "require_region", "regions": ["us"]}),
        a_set(2, {"action": "forbid_models", "models": ["fake/dear"]}),
        a_set(3, {"action": "flag"}),
    ).explain(a_job("Hello", plan="pro"), NOON)
    named = {deployment: [reason.rule for reason in reasons] for deployment, reasons in told.kept_away.items()}
    assert named == {HOME: ["r1"], DEAR: ["r2"]}


def test_a_cap_that_counts_is_named() -> None:
    caps = (a_set(1, {"action": "cap_cost", "usd": "0.01"}), a_set(2, {"action": "cap_cost", "usd": "100"}))
    told = explainer(*caps).explain(a_job("Hello", plan="pro"), NOON)
    named = {deployment: [reason.rule for reason in reasons] for deployment, reasons in told.kept_away.items()}
    assert named == {DEAR: ["r1"]}


def test_what_keeps_it_away_anyway_is_no_rules_doing() -> None:
    job = a_job("Hello", constraints=Constraints(classification="eu"), plan="pro")
    assert explainer(a_set(1, {"action": "require_region", "regions": ["eu"]})).explain(job, NOON).kept_away == {}


def test_without_the_policy_engine_nobody_is_asked() -> None:
    told = explainer(a_set(1, {"action": "deny"}), off=(Flag.ENABLE_POLICY_ENGINE,)).explain(a_job("Hello"), NOON)
    assert (told.asked, told.ruling.reasons, told.rules) == (False, (), ())


def test_a_draft_counts_as_enforced_whatever_it_says_of_itself() -> None:
    draft = a_set(1, {"action": "deny"}, shadow=True, enabled=False, share=0)
    assert explainer().explain(a_job("Hello"), NOON, draft).ruling.decision is Decision.DENY


def test_a_step_that_is_first_for_its_prompt_cache_says_so() -> None:
    price = Price(Decimal(3), Decimal(15), cached=Decimal("0.3"))
    alike = [replace(a_deployment(f"fake/m{n}@us", adapter="sandbox"), price=price) for n in range(3)]
    config = a_config(Catalog(alike))
    told = Explainer(config, stage_builder(Random(1), a_limiter())(config).route).explain(a_job("Sum up. " * 700), NOON)
    steps = explanation_view(told, frozenset())["steps"]
    assert [step["prompt_cache"] is not None for step in steps] == [True, False, False]
    assert "prompt cache" in steps[0]["reason"]
