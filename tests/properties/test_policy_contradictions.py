"""What lint says of rules holds for all facts: the engine never contradicts it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.policies.conditions import read_condition
from pipelines.policies.contradictions import alternatives, clash_of
from pipelines.policies.facts import Facts, stated
from pipelines.policies.lint import Kind, lint
from pipelines.policies.problems import InvalidPolicy, Problems
from pipelines.policies.rules import read_document
from synthralos.domain.findings import Decision
from synthralos.domain.states import Lane

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
EXAMPLES = 400

_WORDS = st.sampled_from(["a", "b", "ab", "abc", "eu"])
_NUMBERS = st.sampled_from([0, 1, 2, 2.5, 3])
_SCORES = st.sampled_from([0, 0.5, 1])
_MONEY = st.sampled_from(["0", "0.1", 0.1, 1, "2.5"])
_JSON = st.one_of(_WORDS, _NUMBERS, st.booleans())
_ZONES = st.sampled_from(["UTC", "Asia/Tokyo"])
_CLOCKS = st.sampled_from(["00:00", "06:00", "12:00", "18:00"])
_TEXTS = ("model", "user", "lane", "classification", "verdict")


def _asked(name: str, value: st.SearchStrategy[Any], *ops: str) -> st.SearchStrategy[dict[str, Any]]:
    def shaped(op: str) -> st.SearchStrategy[dict[str, Any]]:
        values = {
            "exists": st.booleans(),
            "in": st.lists(value, min_size=1, max_size=3),
            "not_in": st.lists(value, min_size=1, max_size=3),
            "between": st.lists(value, min_size=2, max_size=2),
            "contains": _WORDS,
            "matches": st.sampled_from(["^a", "b$", "c"]),
        }
        return st.fixed_dictionaries({"field": st.just(name), "op": st.just(op), "value": values.get(op, value)})

    return st.sampled_from(ops).flatmap(shaped)


_EQUAL = ("eq", "ne", "in", "not_in", "exists")
_ORDER = ("lt", "le", "gt", "ge", "between")
_LEAVES = st.one_of(
    *(_asked(name, _WORDS, *_EQUAL, "contains", "matches") for name in _TEXTS),
    _asked("prompt_tokens", _NUMBERS, *_EQUAL, *_ORDER),
    _asked("abuse_score", _SCORES, *_EQUAL, *_ORDER),
    _asked("worst_cost", _MONEY, "eq", "ne", "exists", *_ORDER),
    _asked("tags", _WORDS, "contains", "exists"),
    _asked("metadata.x", _JSON, *_EQUAL, *_ORDER, "contains", "matches"),
    st.fixed_dictionaries({"time": st.fixed_dictionaries({"from": _CLOCKS, "until": _CLOCKS, "zone": _ZONES})}),
    st.fixed_dictionaries(
        {
            "weekday": st.fixed_dictionaries(
                {"in": st.lists(st.sampled_from(["sat", "sun"]), min_size=1), "zone": _ZONES}
            )
        }
    ),
)
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=4)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


_VALUES = st.fixed_dictionaries(
    {
        "model": _WORDS,
        "user": _maybe(_WORDS),
        "lane": st.sampled_from(list(Lane)),
        "classification": _maybe(_WORDS),
        "verdict": st.sampled_from([Decision.ALLOW, Decision.FLAG, Decision.REUSE]),
        "prompt_tokens": _NUMBERS,
        "abuse_score": _maybe(_SCORES),
        "worst_cost": _maybe(_MONEY),
        "tags": st.lists(_WORDS, max_size=2),
        "metadata": st.one_of(
            st.just({}), st.fixed_dictionaries({"x": st.one_of(_JSON, st.lists(_WORDS, max_size=2), st.none())})
        ),
    }
)
_FACTS = st.builds(
    lambda values, hours: stated({"organization": "acme", "workspace": "main", **values}, NOW + timedelta(hours=hours)),
    _VALUES,
    st.integers(0, 24 * 7),
)


def holds(condition: Any, facts: Facts) -> bool | None:
    """What the engine says; None where the condition is not valid."""
    problems = Problems()
    read = read_condition(condition, "when", problems)
    return None if problems.found else read.holds(facts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(condition=_CONDITIONS, facts=st.lists(_FACTS, min_size=5, max_size=20))
def test_what_never_matches_matches_nothing_and_what_always_does_matches_all(
    condition: dict[str, Any], facts: list[Facts]
) -> None:
    seen = {holds(condition, each) for each in facts}
    if None in seen:
        return
    found, opposite = alternatives(condition, "when"), alternatives(condition, "when", negated=True)
    if found is not None and clash_of(found) is not None:
        assert seen == {False}
    if opposite is not None and clash_of(opposite) is not None:
        assert seen == {True}


@settings(max_examples=EXAMPLES, deadline=None)
@given(one=_CONDITIONS, two=_CONDITIONS, facts=st.lists(_FACTS, min_size=5, max_size=20))
def test_a_shadowed_rule_matches_nothing_that_no_deny_matches(
    one: dict[str, Any], two: dict[str, Any], facts: list[Facts]
) -> None:
    rules = [
        {"id": "deny", "when": {"any": [one, two]}, "then": [{"action": "deny"}]},
        {"id": "other", "when": two, "then": [{"action": "flag"}]},
    ]
    document = {"name": "ours", "rules": rules}
    try:
        read_document(document)
    except InvalidPolicy:
        return
    warnings = {(each.kind, each.rule) for each in lint(document, NOW)}
    for each in facts:
        denied, flagged = holds(rules[0]["when"], each), holds(two, each)
        assert not flagged or denied
        if (Kind.NEVER_MATCHES, "other") in warnings:
            assert not flagged
        if (Kind.NEVER_MATCHES, "deny") in warnings:
            assert not denied
        if (Kind.DENIES_EVERYTHING, "deny") in warnings:
            assert denied


@settings(max_examples=EXAMPLES, deadline=None)
@given(one=_CONDITIONS, two=_CONDITIONS, facts=st.lists(_FACTS, min_size=5, max_size=20))
def test_what_is_said_to_be_shadowed_is_denied_whenever_it_matches(
    one: dict[str, Any], two: dict[str, Any], facts: list[Facts]
) -> None:
    rules = [
        {"id": "deny", "when": one, "then": [{"action": "deny"}]},
        {"id": "other", "when": {"all": [one, two]}, "then": [{"action": "flag"}]},
        {"id": "third", "when": two, "then": [{"action": "flag"}]},
    ]
    document = {"name": "ours", "rules": rules}
    try:
        read_document(document)
    except InvalidPolicy:
        return
    for warning in lint(document, NOW):
        if warning.kind is Kind.SHADOWED:
            [shadowed] = [rule for rule in rules if rule["id"] == warning.rule]
            for each in facts:
                assert not holds(shadowed["when"], each) or holds(one, each)
