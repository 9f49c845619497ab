"""Whatever is sent as a policy set, or stated as facts: it is taken, or refused by the place that is wrong."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts, stated
from pipelines.policies.fields import FIELDS
from pipelines.policies.problems import InvalidPolicy, Problem
from pipelines.policies.rules import read_document
from synthralos.domain.policies import PolicySet, Ruling

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
TENANT = {"organization": "acme", "workspace": "main"}

CONDITIONS: tuple[dict[str, Any], ...] = (
    {"field": "model", "op": "eq", "value": "auto"},
    {"field": "prompt_tokens", "op": "between", "value": [1, 5]},
    {"field": "worst_cost", "op": "le", "value": "0.5"},
    {"field": "metadata.x", "op": "contains", "value": 1},
    {"field": "tags", "op": "exists", "value": True},
    {"field": "prompt", "op": "matches", "value": "a+"},
    {"field": "model", "op": "in", "value": ["a", "b"]},
    {"time": {"from": "08:00", "until": "18:00", "zone": "Europe/Berlin"}},
    {"weekday": {"in": ["sat"], "zone": "UTC"}},
    {"cel": "prompt_tokens > 3"},
    {"any": [{"not": {"field": "user", "op": "exists", "value": False}}, {"cel": "size(tags) > 1"}]},
)
ACTIONS: tuple[dict[str, Any], ...] = (
    {"action": "deny", "reason": "no"}, {"action": "flag"}, {"action": "defer", "seconds": 5, "reason": "later"},
    {"action": "require_approval", "by": "legal"}, {"action": "require_region", "regions": ["eu"]},
    {"action": "allow_models", "models": ["a/b"]}, {"action": "forbid_models", "models": ["c/*"]},
    {"action": "prefer", "models": ["a/b"]}, {"action": "set_tier", "tier": "economy"},
    {"action": "cap_cost", "usd": "0.05"}, {"action": "redact", "kinds": ["email"]},
    {"action": "require_guard", "guards": ["abuse"]}, {"action": "require_schema"},
    {"action": "set_priority", "priority": "low"},
    {"action": "check_output", "min_characters": 1, "max_characters": 9, "must_match": "a", "must_not_match": "b"},
    {"action": "on_guard_failure", "decision": "defer", "seconds": 5, "guards": ["abuse"], "reason": "odd"},
    {"action": "on_guard_error", "decision": "deny"},
)  # fmt: skip

texts = st.text(max_size=6) | st.sampled_from(
    ["model", "eq", "metadata.", "Europe", "\0", "../x", "1e9", "(?P<", "08:00Z"]
)
members = texts | st.sampled_from(["all", "any", "not", "in", "cel"])
scalars = st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, -1, 2**64]) | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=6,
)
documents = st.builds(
    lambda when, then, more: {"name": "x", "rules": [{"id": "a", "when": when, "then": then}], **more},
    st.sampled_from(CONDITIONS),
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3),
    st.sampled_from([{}, {"priority": 1, "share": 50, "effective_from": "2026-01-01T00:00:00Z", "shadow": True}]),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as (what it is in, its key)."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A policy set of which one place is something else, or gone, or has one member more."""
    document = deepcopy(draw(documents))
    inside, key = draw(st.sampled_from(range(len(places(document)))).map(lambda n: places(document)[n]))
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "remove":
        del inside[key]
    elif change == "add" and isinstance(inside, dict):
        inside[draw(texts)] = draw(values)
    else:
        inside[key] = draw(values)
    return document


def decided(document: dict[str, Any], facts: dict[str, Any]) -> Ruling:
    """What the set decides; it is stored and read again on the way."""
    policy = PolicySet.from_json({"id": "s", "version": 1, **document})
    return CompiledPolicies([policy]).decide(Facts(NOW, values={**TENANT, **facts}))


@settings(max_examples=1_000)
@given(spoiled() | values)
def test_a_document_is_taken_or_every_mistake_has_its_place_and_a_remedy(document: Any) -> None:
    for problem in problems_of(document):
        assert problem.path
        assert 0 < len(problem.problem) < 500
        assert problem.remedy


def problems_of(document: Any) -> Sequence[Problem]:
    try:
        read_document(document)
    except InvalidPolicy as error:
        return error.problems or [Problem("", "", "")]
    return ()


@given(st.sampled_from(CONDITIONS), st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4), st.data())
def test_what_is_taken_decides_about_any_facts_and_its_ruling_can_be_stored(
    when: dict[str, Any], then: list[dict[str, Any]], data: st.DataObject
) -> None:
    facts = data.draw(st.dictionaries(st.sampled_from(sorted(FIELDS.keys() - TENANT.keys())), values, max_size=6))
    ruling = decided({"name": "x", "rules": [{"id": "a", "when": when, "then": then}]}, facts)
    assert Ruling.from_json(ruling.to_json()) == ruling


@given(st.dictionaries(texts | st.sampled_from(sorted(FIELDS)), values, max_size=4))
def test_facts_are_taken_or_refused_by_their_name(facts: dict[str, Any]) -> None:
    refusal = refusal_of(facts)
    assert refusal is None or any(name[:20] in refusal for name in facts)


def refusal_of(facts: dict[str, Any]) -> str | None:
    try:
        stated(facts, NOW)
    except ValueError as error:
        return str(error)
    return None
