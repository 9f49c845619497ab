"""The whole condition language against an interpreter that knows nothing of it but the documentation.

The interpreter walks the JSON, value by value, without compiling, ordering, sharing or indexing anything.
"""

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.policies.comparisons import OPERATORS
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import FIELDS, Kind
from pipelines.policies.rules import read_document
from synthralos.domain.policies import PolicySet

WORDS = ("", "a", "b", "ab", "A", "1", "true", "größe", "🚀 ab", "a\nb", "漢")
NUMBERS = (0, 1, 1.0, -1, 2, 0.5, 1e15, 2**63 - 1)
PATTERNS = ("a", "^a$", "[ab]+", "ö", "\\d", "(?i)A", "b$", "^$")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Auckland")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TEXT_FIELDS, NUMBER_FIELDS = ("model", "classification", "prompt"), ("prompt_tokens", "messages")
NAMES = (
    *TEXT_FIELDS,
    *NUMBER_FIELDS,
    "tags",
    "guards_failed",
    "worst_cost",
    "metadata.x",
    "metadata.a.b",
    "metadata.é",
)

words, numbers, truths = st.sampled_from(WORDS), st.sampled_from(NUMBERS), st.booleans()
scalars = words | numbers | truths
amounts = st.sampled_from(["0", "0.1", "0.10", "2.5", 1, 0.5])
leaves = scalars | st.none() | st.integers() | st.floats(allow_nan=False)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4) | st.dictionaries(
    words, scalars, max_size=2
)


def kind_of(name: str) -> Kind:
    return FIELDS[name].kind if name in FIELDS else Kind.ANY


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    """One that the documents allow, about any field, with any of its operators."""
    name = draw(st.sampled_from(NAMES))
    kind = kind_of(name)
    op = draw(st.sampled_from(sorted(OPERATORS[kind])))
    values = {Kind.TEXT: words, Kind.TEXTS: words, Kind.NUMBER: numbers, Kind.MONEY: amounts, Kind.ANY: scalars}[kind]
    if op == "exists":
        value: Any = draw(truths)
    elif op == "matches":
        value = draw(st.sampled_from(PATTERNS))
    elif op in ("in", "not_in"):
        value = draw(st.lists(values, min_size=1, max_size=4))
    elif op == "contains":
        value = draw(values.filter(lambda each: each != ""))
    elif op == "between":
        ends = values if kind is not Kind.ANY else draw(st.sampled_from([words, numbers]))
        value = sorted([draw(ends), draw(ends)], key=lambda each: Decimal(str(each)) if kind is Kind.MONEY else each)
    elif op in ("lt", "le", "gt", "ge"):
        value = draw(values if kind is not Kind.ANY else words | numbers)
    else:
        value = draw(values)
    return {"field": name, "op": op, "value": value}


@st.composite
def clocks(draw: st.DrawFn) -> dict[str, Any]:
    zone = draw(st.sampled_from(ZONES))
    if draw(truths):
        return {"weekday": {"in": draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7)), "zone": zone}}
    begin, end = draw(st.lists(st.times() | whole_hours, min_size=2, max_size=2, unique=True))
    return {"time": {"from": begin.isoformat(), "until": end.isoformat(), "zone": zone}}


whole_hours = st.integers(0, 23).map(time)
cels = st.sampled_from(['model == "a"', "prompt_tokens > 1", '"a" in tags', "true", "metadata.x == 1"]).map(
    lambda text: {"cel": text}
)
dear = st.sampled_from([{"field": "prompt", "op": "matches", "value": "a"}])


def trees(leaves: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=4).map(lambda each: {"all": each}),
            st.lists(inner, min_size=1, max_size=4).map(lambda each: {"any": each}),
            inner.map(lambda each: {"not": each}),
        ),
        max_leaves=8,
    ).filter(lambda tree: depth(tree) <= 8)


def depth(tree: dict[str, Any]) -> int:
    inner = tree.get("all") or tree.get("any") or ([tree["not"]] if "not" in tree else [])
    return 1 + max(map(depth, inner), default=0)


facts_of = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXT_FIELDS, words | anything),
        **dict.fromkeys(NUMBER_FIELDS, numbers | anything),
        **dict.fromkeys(("tags", "guards_failed"), st.lists(words, max_size=3) | anything),
        "worst_cost": amounts.map(lambda each: Decimal(str(each))) | anything,
        "metadata": st.dictionaries(st.sampled_from(["x", "a.b", "é"]), scalars | anything, max_size=3) | anything,
    },
)
"""Facts of the right types and of wrong ones, and missing ones."""

moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(
    lambda each: each.replace(tzinfo=UTC)
) | st.integers(0, 23).map(lambda hour: datetime(2026, 3, 28, hour, tzinfo=UTC))


def naive(tree: dict[str, Any], facts: dict[str, Any], now: datetime) -> bool:
    """What the documentation says, in the order in which it is written, as far as it decides."""
    if "all" in tree:
        return all(naive(each, facts, now) for each in tree["all"])
    if "any" in tree:
        return any(naive(each, facts, now) for each in tree["any"])
    if "not" in tree:
        return not naive(tree["not"], facts, now)
    if "cel" in tree:
        return holds(tree, facts, now)
    if "weekday" in tree:
        local = now.astimezone(ZoneInfo(tree["weekday"]["zone"]))
        return local.strftime("%a").lower() in tree["weekday"]["in"]
    if "time" in tree:
        given = tree["time"]
        clock = timedelta_of(now.astimezone(ZoneInfo(given["zone"])).strftime("%H:%M:%S.%f"))
        begin, end = timedelta_of(given["from"]), timedelta_of(given["until"])
        return begin <= clock < end if begin < end else not end <= clock < begin
    return compared(tree["field"], tree["op"], tree["value"], seen_of(tree["field"], facts))


def timedelta_of(text: str) -> timedelta:
    hours, minutes, seconds = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), microseconds=round(float(seconds) * 1_000_000))


def seen_of(name: str, facts: dict[str, Any]) -> Any:
    if not name.startswith("metadata."):
        return facts.get(name)
    metadata = facts.get("metadata")
    return metadata.get(name.removeprefix("metadata.")) if isinstance(metadata, dict) else None


def compared(name: str, op: str, value: Any, seen: Any) -> bool:
    if op == "exists":
        return (seen not in (None, "", [], {}) or isinstance(seen, bool)) is value
    if op in ("ne", "not_in"):
        return not compared(name, {"ne": "eq", "not_in": "in"}[op], value, seen)
    if op == "in":
        return any(compared(name, "eq", each, seen) for each in value)
    if op == "eq":
        return same(as_kind(name, value), seen)
    if op == "contains":
        if isinstance(seen, list) and kind_of(name) is not Kind.TEXT:
            return any(same(value, each) for each in seen)
        takes_texts = kind_of(name) is not Kind.TEXTS and isinstance(value, str)
        return takes_texts and isinstance(seen, str) and value in seen
    if op == "matches":
        return isinstance(seen, str) and re.search(value.replace("$", "\\Z"), seen, re.ASCII) is not None
    if op == "between":
        return compared(name, "ge", value[0], seen) and compared(name, "le", value[1], seen)
    wanted = as_kind(name, value)
    if json_type(wanted) != json_type(seen):
        return False
    return bool({"lt": seen < wanted, "le": seen <= wanted, "gt": seen > wanted, "ge": seen >= wanted}[op])


def as_kind(name: str, value: Any) -> Any:
    return Decimal(str(value)) if kind_of(name) is Kind.MONEY else value


def json_type(value: Any) -> str:
    for name, types in (("truth", bool), ("number", int | float | Decimal), ("text", str)):
        if isinstance(value, types):
            return name
    return "other"


def same(wanted: Any, seen: Any) -> bool:
    return json_type(wanted) == json_type(seen) != "other" and wanted == seen


DIFFERENT = {"field": "model", "op": "eq", "value": "a"}


def policy(*whens: dict[str, Any]) -> PolicySet:
    rules = [{"id": str(number), "when": when, "then": [{"action": "flag"}]} for number, when in enumerate(whens)]
    return PolicySet.from_json({"id": "s", "name": "x", "version": 1, "rules": rules})


@settings(max_examples=500)
@given(comparisons() | clocks(), st.data())
def test_a_comparison_holds_where_its_documentation_says_so(leaf: dict[str, Any], data: st.DataObject) -> None:
    """The job has a value for the field, often one that the rule names, or one that is equal in another language."""
    name, now = leaf.get("field", "model"), data.draw(moments)
    named = leaf["value"] if isinstance(leaf.get("value"), list) else [leaf.get("value")]
    alike = [*named, *(other for each in named for other in (True, False, 1, 0, 1.0, [each], [True]) if other == each)]
    seen = data.draw(st.sampled_from(alike) | st.lists(st.sampled_from([*alike, True, 1]), max_size=2) | anything)
    if kind_of(name) is Kind.MONEY and isinstance(seen, str | float) and not isinstance(seen, bool):
        seen = Decimal(str(seen)) if seen in ("0", "0.1", "0.10", "2.5", 0.5) else None
    facts: dict[str, Any] = {name: seen}
    if name.startswith("metadata."):
        facts = {"metadata": {name.removeprefix("metadata."): seen}}
    assert holds(leaf, facts, now) is naive(leaf, facts, now)


def holds(tree: dict[str, Any], facts: dict[str, Any], now: datetime) -> bool:
    [rule] = read_document({"name": "x", "rules": [{"id": "a", "when": tree, "then": [{"action": "deny"}]}]})
    return rule.condition.holds(Facts(now, values=facts))


@settings(max_examples=300)
@given(trees(comparisons() | clocks()), facts_of, moments)
@example({"field": "metadata.x", "op": "eq", "value": 1}, {"metadata": {"x": True}}, datetime(2026, 1, 1, tzinfo=UTC))
@example({"field": "tags", "op": "exists", "value": True}, {"tags": []}, datetime(2026, 1, 1, tzinfo=UTC))
def test_a_condition_holds_where_its_documentation_says_so(
    tree: dict[str, Any], facts: dict[str, Any], now: datetime
) -> None:
    expected = naive(tree, facts, now)
    [rule] = read_document({"name": "x", "rules": [{"id": "a", "when": tree, "then": [{"action": "deny"}]}]})
    assert rule.condition.safe
    assert rule.condition.holds(Facts(now, values=facts)) is expected
    assert rule.condition.seen(Facts(now, values=facts))["holds"] is expected
    if expected:
        assert all(rule.condition.why(Facts(now, values=facts), values) for values in (True, False))


@settings(max_examples=300)
@given(st.lists(trees(comparisons() | clocks() | cels | dear), min_size=1, max_size=12), facts_of, moments)
@example(
    [{"all": [{"field": "prompt", "op": "matches", "value": "a"}, {"cel": "messages > 1"}, DIFFERENT]}],
    {"model": "b", "prompt": "a"},
    datetime(2026, 1, 1, tzinfo=UTC),
)
@example([{"any": [{"cel": "messages > 1"}, {"not": DIFFERENT}]}], {"model": "b"}, datetime(2026, 1, 1, tzinfo=UTC))
@example(
    [{"all": [{"cel": "prompt_tokens > 1"}, {"field": "model", "op": "eq", "value": "a"}]}],
    {"model": "b"},
    datetime(2026, 1, 1, tzinfo=UTC),
)
def test_the_index_finds_all_rules_that_match_or_cannot_be_asked_in_their_order(
    whens: list[dict[str, Any]], facts: dict[str, Any], now: datetime
) -> None:
    """The plain loop asks each rule in the order in which it is written, and the evaluator of CEL."""
    ours = {"organization": "acme", "workspace": "main", **facts}
    ruling = CompiledPolicies([policy(*whens)]).decide(Facts(now, values=ours))
    plain = []
    for number, when in enumerate(whens):
        try:
            if naive(when, ours, now):
                plain.append((str(number), False))
        except Exception:  # noqa: BLE001 - whatever the evaluator of CEL raises
            plain.append((str(number), True))
    assert [(reason.rule, reason.error is not None) for reason in ruling.reasons] == plain
