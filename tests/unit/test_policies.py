"""The policy language: what rules say, what they do to jobs, and how mistakes in them are told."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts, stated
from pipelines.policies.problems import InvalidPolicy
from pipelines.policies.rules import read_document
from synthralos.domain.deployments import Tier
from synthralos.domain.findings import Decision
from synthralos.domain.overlays import NO_DEMANDS
from synthralos.domain.policies import UNRULED, PolicySet, Ruling

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""A Saturday, the day before Europe's clocks are set forward."""

TENANT = {"organization": "acme", "workspace": "main"}


def facts(now: datetime = NOON, **values: Any) -> Facts:
    """Facts as a recorded job states them; dots in names are written as two underscores."""
    return stated({**TENANT, **{name.replace("__", "."): value for name, value in values.items()}}, now)


def policy(*rules: dict[str, Any], **more: Any) -> PolicySet:
    """A set of these rules."""
    return PolicySet.from_json({"id": "set", "name": "ours", "version": 1, "rules": rules, **more})


def rule(when: Any, *then: dict[str, Any], name: str = "one", **more: Any) -> dict[str, Any]:
    """A rule that denies unless it does something else."""
    return {"id": name, "when": when, "then": list(then) or [{"action": "deny", "reason": "no"}], **more}


def matches(when: Any, now: datetime = NOON, **values: Any) -> bool:
    """Whether the condition is fulfilled, by the decision, and by the explanation, which must agree."""
    read_document({"name": "ours", "rules": [rule(when)]})
    compiled = CompiledPolicies([policy(rule(when))])
    [explained] = compiled.explain(facts(now, **values))
    decided = compiled.decide(facts(now, **values)).decision is Decision.DENY
    assert explained["matched"] == decided
    return decided


def field(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


@pytest.mark.parametrize(
    ("when", "values", "expected"),
    [
        (field("model", "eq", "auto"), {"model": "auto"}, True),
        (field("model", "ne", "auto"), {}, True),
        (field("model", "eq", "größe"), {"model": "größe"}, True),
        (field("model", "in", ["a", "b"]), {"model": "b"}, True),
        (field("model", "not_in", ["a"]), {}, True),
        (field("model", "matches", "^gpt-[0-9]+$"), {"model": "gpt-5"}, True),
        (field("model", "matches", "^gpt"), {}, False),
        (field("prompt", "contains", "🚀"), {"prompt": "to the 🚀 moon"}, True),
        (field("prompt_tokens", "ge", 100), {"prompt_tokens": 100}, True),
        (field("prompt_tokens", "lt", 100), {}, False),
        (field("prompt_tokens", "between", [1, 10**12]), {"prompt_tokens": 10**12}, True),
        (field("worst_cost", "gt", "0.1"), {"worst_cost": "0.10000000000000000001"}, True),
        (field("worst_cost", "le", 0.3), {"worst_cost": 0.3}, True),
        (field("tags", "contains", "beta"), {"tags": ["alpha", "beta"]}, True),
        (field("metadata.team", "eq", "core"), {"metadata": {"team": "core"}}, True),
        (field("metadata.team", "eq", 7), {"metadata": {"team": "7"}}, False),
        (field("metadata.level", "ge", 3), {"metadata": {"level": 4}}, True),
        (field("metadata.level", "ge", 3), {"metadata": {"level": "4"}}, False),
        (field("metadata.level", "ge", 3), {"metadata": {"level": True}}, False),
        (field("metadata.level", "in", [3]), {"metadata": {"level": [3]}}, False),
        (field("user", "exists", False), {}, True),
        (field("user", "exists", True), {"user": "ann"}, True),
        ({"not": field("user", "exists", True)}, {"user": "ann"}, False),
        ({"all": [field("model", "eq", "a"), field("user", "eq", "b")]}, {"model": "a", "user": "b"}, True),
        ({"any": [field("model", "eq", "a"), field("user", "eq", "b")]}, {"user": "b"}, True),
        ({"any": [field("model", "eq", "a"), field("user", "eq", "b")]}, {}, False),
        ({"cel": 'model == "a" && prompt_tokens > 10'}, {"model": "a", "prompt_tokens": 11}, True),
        ({"cel": 'model == "a"'}, {"model": "b"}, False),
    ],
)
def test_conditions(when: dict[str, Any], values: dict[str, Any], expected: bool) -> None:
    assert matches(when, **values) is expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [("12:00", False), ("21:59", False), ("22:00", True), ("03:00", True), ("05:59", True), ("06:00", False)],
)
def test_a_time_of_day_may_go_over_midnight_and_is_that_of_its_zone(clock: str, expected: bool) -> None:
    when = {"time": {"from": "22:00", "until": "06:00", "zone": "Europe/Berlin"}}
    winter = datetime.fromisoformat(f"2026-01-10T{clock}:00+01:00")
    summer = datetime.fromisoformat(f"2026-07-10T{clock}:00+02:00")
    assert matches(when, winter) is matches(when, summer) is expected


def test_a_weekday_is_that_of_its_zone() -> None:
    when = {"weekday": {"in": ["sun"], "zone": "Pacific/Auckland"}}
    assert matches(when, NOON)
    assert not matches({"weekday": {"in": ["sun"]}}, NOON)


def decide(*sets: PolicySet, **values: Any) -> Ruling:
    return CompiledPolicies(sets).decide(facts(**values))


def test_without_a_match_nothing_is_ruled() -> None:
    assert decide() is UNRULED
    assert decide(policy(rule(field("model", "eq", "a")))) is UNRULED


def test_deny_wins_and_every_rule_that_matched_is_told() -> None:
    ruling = decide(
        policy(
            rule(field("model", "eq", "a"), {"action": "flag", "reason": "look"}, name="flags"),
            rule(field("model", "eq", "a"), {"action": "deny", "reason": "never"}, name="denies"),
            rule(field("model", "eq", "a"), {"action": "defer", "seconds": 60}, name="defers"),
        ),
        model="a",
    )
    assert (ruling.decision, ruling.defer_seconds) == (Decision.DENY, 60.0)
    assert [text in ruling.reason for text in ("never", "look", "denies")] == [True, False, True]
    assert [reason.rule for reason in ruling.reasons] == ["flags", "denies", "defers"]


def test_demands_add_up_and_never_loosen_one_another() -> None:
    always = {"not": field("model", "eq", "nobody")}
    ruling = decide(
        policy(
            rule(always, {"action": "require_region", "regions": ["eu", "us"]}, {"action": "cap_cost", "usd": "0.5"}),
            rule(
                always,
                {"action": "require_region", "regions": ["eu"]},
                {"action": "cap_cost", "usd": 0.05},
                {"action": "set_tier", "tier": "standard"},
                {"action": "forbid_models", "models": ["openai/*"]},
                {"action": "prefer", "models": ["google/gemini-flash"]},
                name="two",
            ),
        )
    )
    overlay = ruling.overlay
    assert (overlay.regions, overlay.max_cost, overlay.tier) == (frozenset({"eu"}), Decimal("0.05"), Tier.STANDARD)
    assert (overlay.forbidden_models, overlay.prefer) == (frozenset({"openai/*"}), ("google/gemini-flash",))
    assert ruling.decision is Decision.ALLOW
    assert Ruling.from_json(ruling.to_json()) == ruling


def test_the_narrower_scope_then_the_higher_priority_comes_first() -> None:
    def prefers(model: str, **more: Any) -> PolicySet:
        return policy({"id": model, "then": [{"action": "prefer", "models": [model]}]}, **more)

    wide, low = prefers("wide", priority=9), prefers("low", organization="acme", priority=1)
    high = prefers("high", organization="acme", priority=2)
    narrow = prefers("narrow", organization="acme", workspace="main")
    assert decide(wide, low, high, narrow).overlay.prefer == ("narrow", "high", "low", "wide")


def test_a_set_rules_its_own_tenants_in_its_own_time_and_share() -> None:
    denies = rule({"not": field("model", "eq", "nobody")})
    for more in (
        {"organization": "other"}, {"organization": "acme", "workspace": "other"}, {"enabled": False}, {"share": 0},
        {"effective_from": "2026-03-28T12:00:01+00:00"}, {"effective_until": "2026-03-28T12:00:00+00:00"},
    ):  # fmt: skip
        assert decide(policy(denies, **more)) is UNRULED, more
    half = [CompiledPolicies([policy(denies, share=50)]).decide(facts(organization=f"o{n}")) for n in range(200)]
    assert 60 <= sum(ruling.decision is Decision.DENY for ruling in half) <= 140


def test_a_shadow_set_is_reported_and_never_enforced() -> None:
    ruling = decide(policy(rule({"not": field("model", "eq", "nobody")}), shadow=True))
    assert (ruling.decision, ruling.reasons, ruling.overlay) == (Decision.ALLOW, (), NO_DEMANDS)
    assert [shadow.decision for shadow in ruling.shadows] == [Decision.DENY]


@pytest.mark.parametrize(("on_error", "decision"), [("skip", Decision.FLAG), ("deny", Decision.DENY)])
def test_a_rule_that_cannot_be_asked_does_as_it_says(on_error: str, decision: Decision) -> None:
    ruling = decide(policy(rule({"cel": "prompt_tokens > 10"}, on_error=on_error)))
    assert ruling.decision is decision
    assert ruling.reasons[0].error is not None


def test_an_approval_is_waited_for_and_named() -> None:
    ruling = decide(policy({"id": "a", "then": [{"action": "require_approval", "by": "legal"}]}))
    assert (ruling.decision, ruling.approvals) == (Decision.DEFER, ("legal",))
    assert ruling.defer_seconds > 0


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"rules": [rule(field("model", "eq", "a"))]}, "name"),
        ({"name": "x", "rules": []}, "rules"),
        ({"name": "x", "rules": [rule(field("modle", "eq", "a"))]}, "rules[0].when.field"),
        ({"name": "x", "rules": [rule(field("model", "ge", "a"))]}, "rules[0].when.op"),
        ({"name": "x", "rules": [rule(field("prompt_tokens", "eq", "ten"))]}, "rules[0].when.value"),
        ({"name": "x", "rules": [rule(field("prompt_tokens", "between", [5, 1]))]}, "rules[0].when.value"),
        ({"name": "x", "rules": [rule(field("prompt_tokens", "eq", float("nan")))]}, "rules[0].when.value"),
        ({"name": "x", "rules": [rule(field("prompt", "matches", "(a+)+(?=b)"))]}, "rules[0].when.value"),
        ({"name": "x", "rules": [rule(field("prompt", "matches", "((a{99}){99}){99}"))]}, "rules[0].when.value"),
        ({"name": "x", "rules": [rule({"all": []})]}, "rules[0].when.all"),
        ({"name": "x", "rules": [rule({"all": [{"not": field("x", "eq", 1)}]})]}, "rules[0].when.all[0].not.field"),
        ({"name": "x", "rules": [rule({"cel": "nonsense(1)"})]}, "rules[0].when.cel"),
        ({"name": "x", "rules": [rule({"cel": "1 +"})]}, "rules[0].when.cel"),
        ({"name": "x", "rules": [rule({"time": {"from": "25:00", "until": "1:00"}})]}, "rules[0].when.time"),
        ({"name": "x", "rules": [rule({"weekday": {"in": ["someday"]}})]}, "rules[0].when.weekday"),
        ({"name": "x", "rules": [rule({"weekday": {"in": ["sun"], "zone": "X"}})]}, "rules[0].when.weekday"),
        ({"name": "x", "rules": [rule(field("model", "eq", "a"), {"action": "explode"})]}, "rules[0].then[0].action"),
        ({"name": "x", "rules": [{"id": "a", "then": [{"action": "cap_cost", "usd": 0}]}]}, "rules[0].then[0].usd"),
        (
            {
                "name": "x",
                "rules": [
                    rule(
                        field("model", "eq", "a"),
                        {"action": "allow_models", "models": ["a/b"]},
                        {"action": "forbid_models", "models": ["a/*"]},
                    )
                ],
            },
            "rules[0].then",
        ),
        ({"name": "x", "rules": [{"id": "a", "then": [{"action": "set_tier", "tier": "x"}]}]}, "rules[0].then[0].tier"),
        ({"name": "x", "rules": [rule(field("model", "eq", "a")), rule(field("model", "eq", "b"))]}, "rules[1].id"),
        ({"name": "x", "share": 101, "rules": [rule(field("model", "eq", "a"))]}, "share"),
        ({"name": "x", "effective_from": "tomorrow", "rules": [rule(field("model", "eq", "a"))]}, "effective_from"),
        ({"name": "x", "colour": 1, "rules": [rule(field("model", "eq", "a"))]}, "colour"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_document(document)
    assert path in [problem.path for problem in caught.value.problems]
    assert all(problem.problem and problem.remedy for problem in caught.value.problems)


def test_a_stored_rule_that_cannot_be_read_is_left_out_and_the_others_rule() -> None:
    ruling = decide(policy({"id": "old", "when": {"magic": 1}, "then": []}, rule({"not": field("model", "eq", "x")})))
    assert [reason.rule for reason in ruling.reasons] == ["one"]


def test_stated_facts_are_checked() -> None:
    with pytest.raises(ValueError, match="did you mean model"):
        stated({"modle": "a"}, NOON)
    with pytest.raises(ValueError, match="prompt_tokens"):
        stated({"prompt_tokens": "many"}, NOON)
