"""Exclusions as data: what is stored, what is read, and the sentences that are made of it."""

from decimal import Decimal

import orjson
import pytest

from pipelines.route.filters import SIZED_RULES, STANDING_RULES, Demand
from synthralos.domain.deployments import Capability, Tier
from synthralos.domain.exclusions import TEXTS, Cause
from synthralos.domain.overlays import Overlay
from synthralos.domain.plans import Exclusion, Exclusions, RoutingPlan, Step, published
from tests.fakes.stage_jobs import a_deployment

ANY = Demand("auto", "pro")
HERE = a_deployment("openai/gpt@us", window=8_192, max_output=4_000, tier=Tier.PREMIUM, price=("1", "3"))
STEPS = (Step("openai/gpt@us", "the cheapest that fits", Decimal("0.01")),)
OF_THE_RELEASE_BEFORE = {
    "strategy": "cheapest",
    "steps": [{"deployment": "openai/gpt@us", "reason": "it fits", "estimated_cost_usd": "0.01"}],
    "exclusions": [
        {"deployment": "openai/a@us", "reason": "it is switched off"},
        {"deployment": "openai/b@us", "reason": "it is switched off"},
        {"deployment": "openai/c@us", "reason": "its {window} is small"},
    ],
}


@pytest.mark.parametrize(
    ("demand", "cause"),
    [
        (
            ANY._replace(tokens_in=7_000, max_output=2_000),
            Cause(
                "context_window",
                {"needed_tokens": 9_000, "output_tokens": 2_000, "output": "asked", "limit_tokens": 8_192},
            ),
        ),
        (ANY._replace(max_output=5_000), Cause("max_output", {"needed_tokens": 5_000, "limit_tokens": 4_000})),
        (
            ANY._replace(tokens_billed=1_000, max_cost=Decimal("0.01"), max_output=4_000),
            Cause(
                "max_cost",
                {"needed_tokens": 4_000, "limit_tokens": 3_000, "limit_usd": "0.01", "output": "asked"},
            ),
        ),
        (
            ANY._replace(classification="eu"),
            Cause("classification", {"classification": "eu", "needed": "eu", "residency": "us"}),
        ),
        (ANY._replace(zero_retention=True), Cause("zero_retention")),
        (ANY._replace(region="eu"), Cause("region", {"needed": "eu", "region": "us"})),
        (ANY._replace(pin="x/y@us"), Cause("pin", {"pin": "x/y@us"})),
        (ANY._replace(exclude=(HERE.id,)), Cause("exclude")),
        (
            ANY._replace(plan="free"),
            Cause("account_plan", {"account_plan": "free", "tiers": ["economy"], "tier": "premium"}),
        ),
        (
            ANY._replace(needs=frozenset({Capability.TOOLS, Capability.VISION})),
            Cause("capability", {"missing": ["tools", "vision"]}),
        ),
        (
            ANY._replace(overlay=Overlay(regions=frozenset({"eu"}))),
            Cause("policy_regions", {"allowed": ["eu"]}),
        ),
        (
            ANY._replace(overlay=Overlay(forbidden_models=frozenset({"openai/*"}))),
            Cause("policy_forbidden_models", {"forbidden": ["openai/*"]}),
        ),
        (
            ANY._replace(overlay=Overlay(tier=Tier.ECONOMY)),
            Cause("policy_tier", {"limit": "economy", "tier": "premium"}),
        ),
        (ANY._replace(slower=frozenset({HERE.id}), seconds_left=7), Cause("deadline", {"seconds_left": 7})),
    ],
)
def test_a_rule_says_what_it_compared(demand: Demand, cause: Cause) -> None:
    found = [made for rule in (*STANDING_RULES, *SIZED_RULES) if (made := rule.check(demand, HERE)) is not None]
    assert found[0] == cause
    assert cause.rule in TEXTS
    assert not cause.text.startswith(f"{cause.rule}:")
    assert Cause(*orjson.loads(orjson.dumps([*cause]))).text == cause.text


def test_a_stored_plan_has_each_cause_once_and_people_read_it_for_each_deployment() -> None:
    away = Cause("region", {"needed": "eu", "region": "us"})
    names = [f"openai/{number}@us" for number in range(1_000)]
    body = RoutingPlan("cheapest", STEPS, Exclusions([(away, names)])).body()
    assert [each["rule"] for each in body["excluded"]] == ["region"]
    shown = published(body)["exclusions"]
    assert [each["deployment"] for each in shown] == names
    assert shown[7] == {
        "deployment": names[7], "rule": "region", "details": away.details, "reason": away.text,
    }  # fmt: skip


def test_a_plan_of_the_release_before_is_read_and_shown_as_it_was() -> None:
    plan = RoutingPlan.from_json(OF_THE_RELEASE_BEFORE, "its key")
    assert [(each.deployment, each.reason) for each in plan.exclusions] == [
        (each["deployment"], each["reason"]) for each in OF_THE_RELEASE_BEFORE["exclusions"]
    ]
    shown = published(OF_THE_RELEASE_BEFORE)
    assert {each["rule"] for each in shown["exclusions"]} == {"recorded"}
    assert [each["reason"] for each in shown["exclusions"]] == [each.reason for each in plan.exclusions]
    assert RoutingPlan.from_json(plan.body()) == RoutingPlan.from_json(OF_THE_RELEASE_BEFORE)


def test_processes_of_the_release_before_can_read_a_stored_plan() -> None:
    body = RoutingPlan("cheapest", STEPS, (Exclusion("openai/a@us", Cause("exclude")),)).body()
    assert [each["reason"] for each in body["exclusions"]] == []
    assert {"strategy", "steps", "exclusions"} <= body.keys()


@pytest.mark.parametrize(
    "cause", [Cause("of_a_later_release", {"tokens": 7}), Cause("max_output", {"another_name": 7}), Cause("region")]
)
def test_what_this_release_cannot_tell_is_told_by_its_code(cause: Cause) -> None:
    assert cause.text.startswith(cause.rule)
    assert all(str(value) in cause.text for value in cause.details.values())
