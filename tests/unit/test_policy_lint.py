"""Warnings about policy sets: what can never match, what changes nothing, what denies all, names that are unknown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.policies.lint import Kind, lint
from pipelines.policies.rules import read_document
from synthralos.domain.deployments import Catalog
from tests.fakes.jobs import deployment

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
DENY = {"action": "deny", "reason": "no"}
FLAG = {"action": "flag", "reason": "seen"}


def field(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


def rule(name: str, when: dict[str, Any] | None, *then: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule that flags unless it does something else."""
    return {"id": name, "then": list(then) or [FLAG], **more} | ({} if when is None else {"when": when})


def warned(
    rules: Sequence[dict[str, Any]], catalog: Catalog | None = None, **more: Any
) -> list[tuple[Kind, str, bool]]:
    """(kind, path, severe) of each warning."""
    document = {"name": "ours", "rules": list(rules), **more}
    read_document(document)
    return [(each.kind, each.path, each.severe) for each in lint(document, NOW, catalog)]


def both(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(conditions)}


@pytest.mark.parametrize(
    ("when", "path"),
    [
        (both(field("model", "eq", "a"), field("model", "eq", "b")), "all[1]"),
        (both(field("model", "in", ["a", "b"]), field("user", "eq", "x"), field("model", "eq", "c")), "all[2]"),
        (both(field("model", "eq", "abc"), field("model", "contains", "x")), "all[1]"),
        (both(field("model", "eq", "gpt"), field("model", "matches", "^claude")), "all[1]"),
        (both(field("prompt_tokens", "lt", 10), field("prompt_tokens", "ge", 10)), "all[1]"),
        (both(field("prompt_tokens", "between", [1, 5]), field("prompt_tokens", "gt", 5)), "all[1]"),
        (both(field("prompt_tokens", "lt", 10), {"not": field("prompt_tokens", "lt", 20)}), "all[1].not"),
        (both(field("worst_cost", "lt", "0.1"), field("worst_cost", "gt", 0.1)), "all[1]"),
        (field("prompt_tokens", "lt", 0), ""),
        (field("abuse_score", "gt", 1), ""),
        (field("lane", "eq", "fast"), ""),
        (field("classification", "eq", "EU"), ""),
        (field("verdict", "eq", "deny"), ""),
        (both(field("user", "exists", False), field("user", "eq", "ann")), "all[1]"),
        (both(field("user", "exists", True), {"not": field("user", "exists", True)}), "all[1].not"),
        (both(field("tags", "contains", "a"), {"not": field("tags", "contains", "a")}), "all[1].not"),
        (both(field("prompt", "contains", "whole"), {"not": field("prompt", "contains", "ol")}), "all[1].not"),
        (both(field("metadata.x", "gt", 3), field("metadata.x", "matches", "a")), "all[1]"),
        (both(field("metadata.x", "eq", "3"), field("metadata.x", "gt", 2)), "all[1]"),
        (both(field("metadata.x", "eq", 1), field("metadata.x", "in", [True, "1"])), "all[1]"),
        (
            both({"time": {"from": "08:00", "until": "10:00"}}, {"time": {"from": "10:00", "until": "12:00"}}),
            "all[1]",
        ),
        (
            both({"weekday": {"in": ["sat"]}}, {"not": {"weekday": {"in": ["sat", "sun"]}}}),
            "all[1].not",
        ),
        (both({"cel": "messages > 1"}, {"not": {"cel": "messages > 1"}}), "all[1].not"),
        (
            {"any": [both(field("model", "eq", "a"), field("model", "eq", "b")), field("lane", "eq", "x")]},
            "",
        ),
        ({"not": {"any": [field("user", "exists", True), field("user", "exists", False)]}}, "not.any[1]"),
    ],
)
def test_a_rule_that_can_never_match_is_told_with_its_place(when: dict[str, Any], path: str) -> None:
    where = f"rules[1].when.{path}".rstrip(".")
    assert warned([rule("fine", None), rule("never", when)]) == [(Kind.NEVER_MATCHES, where, True)]


@pytest.mark.parametrize(
    "when",
    [
        field("prompt_tokens", "ge", 0),
        both(field("prompt_tokens", "le", 10), field("prompt_tokens", "ge", 10)),
        both(field("model", "ne", "a"), field("model", "ne", "b")),
        both(field("model", "not_in", ["a"]), {"not": field("model", "contains", "a")}),
        both({"not": field("prompt_tokens", "lt", 5)}, {"not": field("prompt_tokens", "gt", 1)}),
        both(field("metadata.x", "eq", "1"), {"not": field("metadata.x", "lt", 5)}),
        both(field("metadata.x", "in", [True, 7]), {"not": field("metadata.x", "ge", 5)}),
        both(field("user", "exists", False), field("user", "eq", "")),
        both(field("metadata.x", "contains", "whole"), {"not": field("metadata.x", "contains", "ol")}),
        both({"time": {"from": "22:00", "until": "06:00"}}, {"time": {"from": "05:00", "until": "12:00"}}),
        both(
            {"time": {"from": "08:00", "until": "10:00", "zone": "Asia/Tokyo"}},
            {"time": {"from": "20:00", "until": "22:00", "zone": "Europe/Berlin"}},
        ),
        {"any": [both(field("model", "eq", "a"), field("model", "eq", "b")), field("user", "eq", "x")]},
    ],
)
def test_what_may_match_is_let_alone(when: dict[str, Any]) -> None:
    assert warned([rule("fine", when)]) == []


def test_what_a_wider_deny_matches_too_is_shadowed() -> None:
    wide = rule("wide", field("prompt_tokens", "gt", 100), DENY)
    narrow = rule("narrow", both(field("prompt_tokens", "ge", 200), field("user", "eq", "ann")))
    shadowed = (Kind.SHADOWED, "rules[1]", True)
    assert warned([wide, narrow]) == [shadowed]
    assert warned([narrow, wide]) == [(Kind.SHADOWED, "rules[0]", True)]
    assert warned([wide, {**narrow, "then": [DENY]}]) == [shadowed]
    assert warned([{**narrow, "then": [DENY]}, wide]) == []
    assert warned([wide, rule("other", field("prompt_tokens", "ge", 50))]) == []
    assert warned([{**wide, "enabled": False}, narrow]) == []
    either = {"any": [field("model", "eq", "a"), field("model", "eq", "b")]}
    listed = rule("listed", field("model", "in", ["a", "b", "c"]), DENY)
    assert warned([listed, rule("either", either)]) == [shadowed]


def test_a_deny_of_everything_is_told() -> None:
    assert warned([rule("all", None, DENY)]) == [(Kind.DENIES_EVERYTHING, "rules[0]", True)]
    tautology = {"any": [field("user", "exists", True), field("user", "exists", False)]}
    found = warned([rule("all", tautology, DENY), rule("one", field("user", "eq", "ann"))])
    assert found == [(Kind.DENIES_EVERYTHING, "rules[0].when", True), (Kind.SHADOWED, "rules[1]", True)]


def test_a_set_whose_time_is_over_is_told() -> None:
    until = {"effective_until": "2026-03-28T12:00:00+00:00"}
    assert warned([rule("one", None)], **until) == [(Kind.EXPIRED, "effective_until", False)]
    assert warned([rule("one", None)], effective_until="2026-03-28T13:00:00Z") == []


def two_regions() -> Catalog:
    return Catalog([deployment("openai/small@eu"), deployment("openai/large@us")])


def test_demands_that_leave_nothing_are_told() -> None:
    regions = [rule(name, None, {"action": "require_region", "regions": [name]}) for name in ("eu", "us")]
    assert warned(regions) == [(Kind.CONTRADICTORY, "rules[1].then", True)]
    models = rule("models", None, {"action": "allow_models", "models": ["openai/large"]})
    assert warned([regions[0], models], two_regions()) == [(Kind.CONTRADICTORY, "rules[1].then", True)]
    assert warned([regions[0], models]) == []
    sometimes = {**models, "when": field("user", "eq", "ann")}
    assert warned([regions[0], sometimes], two_regions()) == []
    everything = rule("no", field("user", "eq", "ann"), {"action": "forbid_models", "models": ["openai/*"]})
    assert warned([everything], two_regions()) == [(Kind.CONTRADICTORY, "rules[0].then", False)]


def test_names_that_the_catalog_does_not_know_are_told_with_what_was_meant() -> None:
    rules = [
        rule("a", None, {"action": "allow_models", "models": ["openai/smal", "openai/small", "openai/*"]}),
        rule("b", field("model", "in", ["auto", "openai/larg"]), {"action": "require_region", "regions": ["eu", "uk"]}),
        rule("c", {"not": field("region", "eq", "eur")}),
    ]
    document = {"name": "ours", "rules": rules}
    found = [each for each in lint(document, NOW, two_regions()) if each.kind is Kind.UNKNOWN_NAME]
    assert [each.path for each in found] == [
        "rules[0].then[0].models[0]",
        "rules[1].then[0].regions[1]",
        "rules[1].when.value[1]",
        "rules[2].when.not.value",
    ]
    assert "openai/small" in found[0].remedy
    assert "openai/large" in found[2].remedy
    assert not any(each.severe for each in found)


def test_a_thousand_rules_are_looked_at_in_bounded_work() -> None:
    rules = [
        rule(f"r{n}", both(field("prompt_tokens", "gt", n), field("user", "eq", f"u{n}")), DENY if n % 2 else FLAG)
        for n in range(1_000)
    ]
    assert warned(rules) == []
