"""What conditions take for equal, for present, and for too much; and what CEL and regular expressions may do."""

import random
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipelines.policies.expressions import FUNCTIONS, expression
from pipelines.policies.facts import Facts, stated
from pipelines.policies.patterns import LEAST_READ, MOST_READ, MOST_STEPS, bytes_read, searcher, steps_of
from pipelines.policies.problems import InvalidPolicy, Unfit, shown
from pipelines.policies.rules import read_document

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def condition(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


def holds(when: Any, facts: dict[str, Any]) -> bool:
    """Whether the condition is fulfilled by facts as they are."""
    [rule] = read_document({"name": "x", "rules": [{"id": "a", "when": when, "then": [{"action": "deny"}]}]})
    return rule.condition.holds(Facts(NOW, values=facts))


def refused(when: Any) -> list[tuple[str, str, str]]:
    """The problems of a condition, as (path, problem, remedy)."""
    with pytest.raises(InvalidPolicy) as caught:
        read_document({"name": "x", "rules": [{"id": "a", "when": when, "then": [{"action": "deny"}]}]})
    return [(problem.path, problem.problem, problem.remedy) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("op", "value", "seen", "expected"),
    [
        ("eq", 1, True, False), ("eq", 0, False, False), ("eq", True, 1, False), ("eq", True, True, True),
        ("eq", 1, 1.0, True), ("eq", 1.0, 1, True), ("eq", "1", 1, False), ("eq", 1, [1], False),
        ("ne", 1, True, True), ("ne", True, 1, True), ("ne", 1, 1.0, False), ("ne", 1, None, True),
        ("in", [1], True, False), ("in", [True], 1, False), ("in", [False, "x"], False, True), ("in", [1], 1.0, True),
        ("not_in", [1], True, True), ("not_in", [True], True, False), ("not_in", [1], [1], True),
        ("contains", 1, [True], False), ("contains", 1, [2, 1.0], True), ("contains", True, [1], False),
        ("contains", "a", ["a"], True), ("contains", "a", "cat", True), ("contains", "a", {"a": 1}, False),
        ("contains", 1, [[1]], False), ("contains", 1, "1", False),
        ("between", [0, 1], True, False), ("between", [0, 1], 1, True), ("between", [0, 1], "1", False),
        ("between", ["a", "c"], "b", True), ("between", ["a", "c"], 1, False),
        ("ge", 0, False, False), ("lt", "b", "a", True), ("lt", "b", 1, False),
    ],
)  # fmt: skip
def test_values_are_equal_and_in_order_by_their_json_types(op: str, value: Any, seen: Any, expected: bool) -> None:
    assert holds(condition("metadata.x", op, value), {"metadata": {"x": seen}}) is expected


@pytest.mark.parametrize("op", ["eq", "in", "ge", "between"])
def test_true_is_no_number_in_a_field_of_numbers_either(op: str) -> None:
    value = {"eq": 1, "in": [1], "ge": 1, "between": [0, 2]}[op]
    assert not holds(condition("messages", op, value), {"messages": True})
    assert holds(condition("messages", op, value), {"messages": 1})


@pytest.mark.parametrize("name", ["guards_errored", "guards_failed", "private_data", "tags"])
def test_nothing_is_there_in_an_empty_list(name: str) -> None:
    for seen, there in (([], False), (None, False), (["x"], True)):
        assert holds(condition(name, "exists", True), {name: seen}) is there
        assert holds(condition(name, "exists", False), {name: seen}) is not there


def test_nothing_is_there_in_an_empty_text_or_object_and_zero_and_false_are_values() -> None:
    values: list[Any] = ["", {}, 0, False]
    found = {repr(seen): holds(condition("metadata.x", "exists", True), {"metadata": {"x": seen}}) for seen in values}
    assert found == {"''": False, "{}": False, "0": True, "False": True}


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 2**63, 10**5_000], ids=["nan", "inf", "-inf", "large", "huge"]
)
def test_what_json_has_no_number_for_is_refused(value: float) -> None:
    for name, op, given in (
        ("prompt_tokens", "eq", value), ("prompt_tokens", "in", [value]), ("metadata.x", "between", [0, value]),
        ("metadata.x", "contains", value), ("worst_cost", "le", value),
    ):  # fmt: skip
        [(path, problem, remedy)] = refused(condition(name, op, given))
        assert path == "rules[0].when.value"
        assert problem
        assert remedy
    with pytest.raises(ValueError, match="prompt_tokens"):
        stated({"prompt_tokens": value}, NOW)


@pytest.mark.parametrize("value", ["1e999999", "1" * 50, "0." + "0" * 30 + "1", "-1", True, "NaN", [], None])
def test_what_is_no_amount_is_refused(value: Any) -> None:
    assert refused(condition("worst_cost", "le", value))[0][0] == "rules[0].when.value"
    if value is not None:
        with pytest.raises(ValueError, match="worst_cost"):
            stated({"worst_cost": value}, NOW)


def test_a_range_of_true_or_of_mixed_types_is_refused() -> None:
    for ends in ([0, True], [False, True], [0, "a"], ["b", "a"], [1], [1, 2, 3]):
        assert refused(condition("metadata.x", "between", ends))[0][0] == "rules[0].when.value"


def test_wrong_values_of_any_size_are_shown_shortened() -> None:
    for value in (10**5_000, [10**5_000] * 3, {"a": -(10**5_000)}, "x" * 10**6, [[[[[[1]]]]]] * 1_000, object()):
        assert 0 < len(shown(value)) <= 80
    assert shown("mist\nake") == r"'mist\nake'"


def test_a_rule_has_a_bound_on_its_conditions_their_depth_their_lists_and_their_texts() -> None:
    one, deep = condition("model", "eq", "a"), condition("model", "eq", "a")
    for _ in range(8):
        deep = {"not": deep}
    assert refused(deep)[0][1].startswith("is nested")
    for _ in range(5_000):
        deep = {"all": [deep]}
    assert refused(deep)
    assert refused({"any": [one] * 200})[0][0] == "rules[0].when"
    assert holds({"any": [one] * 199}, {"model": "a"})
    assert refused(condition("model", "in", ["a"] * 1_001))[0][0] == "rules[0].when.value"
    assert refused(condition("model", "in", ["a" * 2_001]))[0][0] == "rules[0].when.value"
    assert refused(condition("prompt", "contains", "a" * 2_001))[0][0] == "rules[0].when.value"
    rules = [{"id": str(number), "then": [{"action": "deny"}]} for number in range(1_001)]
    assert len(read_document({"name": "x", "rules": rules[1:]})) == 1_000
    with pytest.raises(InvalidPolicy, match="rules"):
        read_document({"name": "x", "rules": rules})


@pytest.mark.parametrize(
    "given", [{"from": "08:00", "until": "08:00"}, {"from": "08:00+02:00", "until": "09:00"}, {"from": "8 o'clock"}]
)
def test_a_time_of_day_that_is_none_is_refused_with_the_remedy(given: dict[str, str]) -> None:
    [(path, _, remedy)] = refused({"time": given})
    assert (path, bool(remedy)) == ("rules[0].when.time", True)


CALLS = {
    "size": 'size(prompt) == 3 && size(tags) == 2', "contains": 'prompt.contains("b")',
    "startsWith": 'prompt.startsWith("a")', "endsWith": 'prompt.endsWith("c")', "int": 'int("3") == 3',
    "uint": "uint(3) == 3u", "double": 'double("1.5") == 1.5', "string": 'string(1) == "1"',
    "type": "type(1) == type(messages)",
    "timestamp": 'timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-02T00:00:00Z")',
    "duration": 'duration("1h") < duration("2h")',
    "getFullYear": 'timestamp("2026-02-01T03:04:05.006Z").getFullYear() == 2026',
    "getMonth": 'timestamp("2026-02-01T03:04:05.006Z").getMonth() == 1',
    "getDate": 'timestamp("2026-02-01T03:04:05.006Z").getDate() == 1',
    "getDayOfMonth": 'timestamp("2026-02-01T03:04:05.006Z").getDayOfMonth() == 0',
    "getDayOfWeek": 'timestamp("2026-02-01T03:04:05.006Z").getDayOfWeek() == 0',
    "getDayOfYear": 'timestamp("2026-02-01T03:04:05.006Z").getDayOfYear() == 31',
    "getHours": 'timestamp("2026-02-01T03:04:05.006Z").getHours() == 3',
    "getMinutes": 'timestamp("2026-02-01T03:04:05.006Z").getMinutes() == 4',
    "getSeconds": 'timestamp("2026-02-01T03:04:05.006Z").getSeconds() == 5',
    "getMilliseconds": 'timestamp("2026-02-01T03:04:05.006Z").getMilliseconds() == 6',
}  # fmt: skip
"""An expression that is true, for each function that rules may call."""

OPERATORS = (
    "1 + 1 == 2", "3 - 1 == 2", "2 * 2 == 4", "4 / 2 == 2", "5 % 2 == 1", "-messages == -3", "!(messages == 4)",
    "messages < 4", "messages <= 3", "messages > 2", "messages >= 3", "messages != 4", "true && messages == 3",
    "false || messages == 3", '"x" in tags', '"team" in metadata', "messages == 3 ? true : false", 'tags[0] == "x"',
    'metadata["team"] == "core"', 'metadata.team == "core"', 'prompt + "d" == "abcd"', "has(metadata.team)",
    "!has(metadata.none)", "tags.all(t, size(t) == 1)", 'tags.exists(t, t == "y")', 'tags.exists_one(t, t == "y")',
    'size(tags.filter(t, t == "y")) == 1', "messages == 3.0", "worst_cost < 0.5",
)  # fmt: skip
VALUES = {
    "prompt": "abc",
    "tags": ["x", "y"],
    "messages": 3,
    "metadata": {"team": "core"},
    "worst_cost": Decimal("0.1"),
}


def test_there_is_an_example_of_every_function() -> None:
    assert CALLS.keys() == FUNCTIONS


@pytest.mark.parametrize("text", [*CALLS.values(), *OPERATORS])
def test_every_function_and_operator_of_cel_can_be_evaluated(text: str) -> None:
    ask, _ = expression(text)
    assert ask(Facts(NOW, values=VALUES))


@pytest.mark.parametrize(
    "text",
    ["max(1, 2) == 2", "min(1, 2) == 1", 'bool("true")', "size(tags.map(t, prompt + t)) > 1", 'prompt.matches("a")'],
)
def test_what_the_evaluator_lacks_or_nothing_bounds_is_refused_at_once(text: str) -> None:
    with pytest.raises(Unfit):
        expression(text)


@pytest.mark.parametrize("pattern", ["(.{0,100}){5}b", "(a|b)*a(a|b){600}c", "(a{99}){99}", "[a-z]{1,501}"])
def test_an_expression_of_too_many_steps_is_refused(pattern: str) -> None:
    with pytest.raises(Unfit):
        searcher(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\pL+", "größe", "[漢字]+", r"\x{4e00}", "ignore.{0,50}previous.{0,50}instructions"]
)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert searcher(pattern)("größe 漢字 一 ignore all the previous instructions")


@pytest.mark.parametrize("pattern", ["^gpt-[0-9]+$", "(a|b)*a(a|b){12}c", "(a|b)*a(a|b){450}c", "a.{0,90}b.{0,20}z"])
def test_work_is_bounded_on_the_longest_text(pattern: str) -> None:
    """Steps times bytes: the bound in milliseconds is measured, not asserted, but for a limit far above it."""
    steps, text = steps_of(pattern), "".join(random.Random(1).choices("ab", k=MOST_READ))
    assert steps <= MOST_STEPS
    assert LEAST_READ <= bytes_read(steps) <= MOST_READ
    assert steps * bytes_read(steps) <= 5_000_000
    began = time.process_time()
    assert not searcher(pattern)(text)
    assert time.process_time() - began < 1.0


def test_of_a_longer_text_the_beginning_and_the_end_are_read() -> None:
    pattern = "needle"
    found, most = searcher(pattern), bytes_read(steps_of(pattern))
    rest = "é" * most
    assert found(f"needle{rest}")
    assert found(f"{rest}needle")
    assert not found(f"{rest}needle{rest}")
    assert not searcher("^é+$")("é" * MOST_READ)
    assert searcher("(?m)^é+$")("é" * MOST_READ)
    assert searcher("^x.*")("x" + rest)
    assert not searcher("(?m)^x")(rest + "x")
    assert found("needle\ud800" + rest)
