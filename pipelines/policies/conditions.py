"""Conditions: from their JSON to functions over facts, with every mistake named by its path.

A field that a job has no value for fulfills `ne`, `not_in` and `exists: false` alone.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.policies.expressions import expression
from pipelines.policies.facts import NAMES, Facts
from pipelines.policies.fields import Field, Kind, field_named
from pipelines.policies.patterns import searcher
from pipelines.policies.problems import Problems, Unfit, shown

Holds = Callable[[Facts], bool]
Seen = dict[str, Any]

MOST_DEPTH = 8
MOST_VALUES = 1_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_ORDER = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_EQUAL = frozenset({"eq", "ne"})
_AMONG = frozenset({"in", "not_in"})
OPERATORS: Mapping[Kind, frozenset[str]] = {
    Kind.TEXT: _EQUAL | _AMONG | {"contains", "matches", "exists"},
    Kind.TEXTS: frozenset({"contains", "exists"}),
    Kind.NUMBER: _EQUAL | _AMONG | _ORDER.keys() | {"between", "exists"},
    Kind.MONEY: _EQUAL | _ORDER.keys() | {"between", "exists"},
    Kind.ANY: _EQUAL | _AMONG | _ORDER.keys() | {"between", "contains", "matches", "exists"},
}
"""What may be asked about the values of each kind."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`holds` tells whether it is fulfilled; `seen` tells why, with the values that were looked at."""

    holds: Holds
    seen: Callable[[Facts], Seen]


ALWAYS = Condition(lambda facts: True, lambda facts: {"always": True, "holds": True})
"""The condition of a rule without one."""


def read_condition(data: Any, path: str, problems: Problems, depth: int = 0) -> Condition:
    """The condition of its JSON; where it is wrong, `problems` hears of it, and what comes back never holds."""
    if not isinstance(data, Mapping) or not data:
        problems.add(path, "is no condition", 'write an object such as {"field": "model", "op": "eq", "value": "auto"}')
        return _never()
    if depth >= MOST_DEPTH:
        problems.add(path, f"is nested more than {MOST_DEPTH} deep", "simplify it")
        return _never()
    kinds = [name for name in _READERS if name in data]
    if len(kinds) != 1:
        problems.add(path, "is no single condition", f"give one of {', '.join(_READERS)}")
        return _never()
    allowed = {"field", "op", "value"} if kinds[0] == "field" else {kinds[0]}
    for name in data.keys() - allowed:
        problems.add(f"{path}.{name:.80}", "is no member of this condition", f"leave it out; {kinds[0]} stands alone")
    return _READERS[kinds[0]](data, path, problems, depth)


def _never() -> Condition:
    return Condition(lambda facts: False, lambda facts: {"holds": False})


def _several(data: Mapping[str, Any], name: str, path: str, problems: Problems, depth: int) -> list[Condition]:
    inner = data[name]
    if not isinstance(inner, list) or not inner or len(inner) > MOST_VALUES:
        problems.add(f"{path}.{name}", "is no list of conditions", f"list 1 to {MOST_VALUES} of them")
        return []
    return [read_condition(each, f"{path}.{name}[{n}]", problems, depth + 1) for n, each in enumerate(inner)]


def _all(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = _several(data, "all", path, problems, depth)
    tests = tuple(each.holds for each in inner)

    def holds(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - as a loop it costs half of what all() and a generator do
            if not test(facts):
                return False
        return True

    return Condition(holds, lambda facts: {"all": [each.seen(facts) for each in inner], "holds": holds(facts)})


def _any(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = _several(data, "any", path, problems, depth)
    tests = tuple(each.holds for each in inner)

    def holds(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - see above
            if test(facts):
                return True
        return False

    return Condition(holds, lambda facts: {"any": [each.seen(facts) for each in inner], "holds": holds(facts)})


def _not(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = read_condition(data["not"], f"{path}.not", problems, depth + 1)
    test = inner.holds
    return Condition(lambda facts: not test(facts), lambda facts: {"not": inner.seen(facts), "holds": not test(facts)})


def _field(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    name, op = data["field"], data.get("op")
    known = field_named(name) if isinstance(name, str) else None
    if known is None:
        near = NAMES.near(name) if isinstance(name, str) else []
        remedy = f"did you mean {near[0]}?" if near else "see the fields in docs/policies.md"
        problems.add(f"{path}.field", f"{shown(name)} is no field", remedy)
        return _never()
    if op not in OPERATORS[known.kind]:
        possible = ", ".join(sorted(OPERATORS[known.kind]))
        problems.add(f"{path}.op", f"{shown(op)} cannot be asked of {name}, a {known.kind}", f"use one of {possible}")
        return _never()
    try:
        holds = _comparison(known, str(op), data.get("value"))
    except Unfit as error:
        problems.unfit(f"{path}.value", error)
        return _never()
    read = known.name
    return Condition(
        holds,
        lambda facts: {
            "field": read,
            "op": op,
            "value": data.get("value"),
            "seen": _shown(facts[read]),
            "holds": holds(facts),
        },
    )


def _comparison(known: Field, op: str, value: Any) -> Holds:
    name = known.name
    if op == "exists":
        if not isinstance(value, bool):
            raise Unfit("is not true or false", "write true where it has to be there, false where it must not")
        return (lambda facts: facts[name] is not None) if value else (lambda facts: facts[name] is None)
    if op == "matches":
        search = searcher(_text(value))
        return lambda facts: isinstance(seen := facts[name], str) and search(seen)
    if op == "contains":
        part = _text(value)
        return lambda facts: isinstance(seen := facts[name], str | list) and part in seen
    if op in _AMONG:
        return _among(known, frozenset(_value(known, each) for each in _list(value)), wanted=op == "in")
    sure = known.kind is not Kind.ANY
    if op == "between":
        low, high = _two(known, value)
        if sure:
            return lambda facts: (seen := facts[name]) is not None and low <= seen <= high
        return lambda facts: _comparable(seen := facts[name], low) and low <= seen <= high
    wanted = _value(known, value)
    if op == "eq":
        return lambda facts: bool(facts[name] == wanted)
    if op == "ne":
        return lambda facts: bool(facts[name] != wanted)
    compare = _ORDER[op]
    if isinstance(wanted, bool) or not isinstance(wanted, int | float | Decimal | str):
        raise Unfit(f"{shown(value)} has no order", "give a number")
    if sure:
        return lambda facts: (seen := facts[name]) is not None and compare(seen, wanted)
    return lambda facts: _comparable(seen := facts[name], wanted) and bool(compare(seen, wanted))


def _among(known: Field, values: frozenset[Any], *, wanted: bool) -> Holds:
    name = known.name
    if known.kind is not Kind.ANY:
        return (lambda facts: facts[name] in values) if wanted else (lambda facts: facts[name] not in values)
    return lambda facts: (_hashable(seen := facts[name]) and seen in values) is wanted


def _shown(seen: Any) -> Any:
    """A value as it is told: exact money as text, and no more of a text than tells what it is."""
    if isinstance(seen, Decimal):
        return format(seen, "f")
    return f"{seen[:200]}…" if isinstance(seen, str) and len(seen) > 200 else seen


def _comparable(seen: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(seen, str)
    return isinstance(seen, int | float | Decimal) and not isinstance(seen, bool)


def _hashable(seen: Any) -> bool:
    return seen is None or isinstance(seen, str | int | float | Decimal)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit(f"{shown(value)} is no text", "give a text")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_VALUES:
        raise Unfit(f"{shown(value)} is no list of values", f"give a list of 1 to {MOST_VALUES}")
    return value


def _two(known: Field, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit(f"{shown(value)} is no range", "give a list of two values, the lower one first")
    low, high = (_value(known, each) for each in value)
    if not _comparable(low, high) or low > high:
        raise Unfit("is an empty range", "give the lower value first")
    return low, high


def _value(known: Field, value: Any) -> Any:
    """The value as the field's are; raises `Unfit`."""
    if known.kind is Kind.MONEY:
        return _money(value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    fits = {Kind.TEXT: isinstance(value, str), Kind.NUMBER: number}.get(known.kind)
    if fits is None:
        fits = isinstance(value, str | bool) or number
    if not fits:
        raise Unfit(f"{shown(value)} is no {known.kind} as {known.name} is", f"give a {known.kind}")
    return value


def _money(value: Any) -> Decimal:
    try:
        amount = Decimal(value if isinstance(value, str) else repr(value))
    except (InvalidOperation, ValueError):
        amount = Decimal("nan")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise Unfit(f"{shown(value)} is no amount in USD", "give one such as 0.05")
    return amount


def _time(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    given = data["time"]
    try:
        if not isinstance(given, Mapping) or given.keys() - {"from", "until", "zone"}:
            raise Unfit("is no time of day", 'write {"from": "22:00", "until": "06:00", "zone": "Europe/Berlin"}')
        begin, end, zone = _clock(given.get("from")), _clock(given.get("until")), _zone(given.get("zone"))
    except Unfit as error:
        problems.unfit(f"{path}.time", error)
        return _never()

    def holds(facts: Facts) -> bool:
        now = facts.local(zone).time()
        return begin <= now < end if begin < end else now >= begin or now < end

    return Condition(holds, lambda f: {"time": dict(given), "seen": f.local(zone).isoformat(), "holds": holds(f)})


def _weekday(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    given = data["weekday"]
    try:
        if not isinstance(given, Mapping) or given.keys() - {"in", "zone"}:
            raise Unfit("names no days", 'write {"in": ["sat", "sun"], "zone": "Europe/Berlin"}')
        days, zone = _list(given.get("in")), _zone(given.get("zone"))
        wrong = [day for day in days if day not in DAYS]
        if wrong:
            raise Unfit(f"{shown(wrong[0])} is no day", f"use {', '.join(DAYS)}")
    except Unfit as error:
        problems.unfit(f"{path}.weekday", error)
        return _never()
    wanted = frozenset(DAYS.index(day) for day in days)
    return Condition(
        lambda facts: facts.local(zone).weekday() in wanted,
        lambda f: {
            "weekday": dict(given),
            "seen": DAYS[f.local(zone).weekday()],
            "holds": f.local(zone).weekday() in wanted,
        },
    )


def _clock(text: Any) -> time:
    try:
        return time.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unfit(f"{shown(text)} is no time of day", "write it as 22:00") from None


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name if name is not None else "UTC")
    except (ZoneInfoNotFoundError, TypeError, ValueError, OSError):
        raise Unfit(f"{shown(name)} is no time zone", "use a name such as Europe/Berlin") from None


def _cel(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    text = data["cel"]
    try:
        holds, names = expression(_text(text))
    except Unfit as error:
        problems.unfit(f"{path}.cel", error)
        return _never()
    return Condition(
        holds, lambda facts: {"cel": text, "seen": {n: _shown(facts[n]) for n in names}, "holds": holds(facts)}
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any], str, Problems, int], Condition]] = {
    "field": _field,
    "all": _all,
    "any": _any,
    "not": _not,
    "time": _time,
    "weekday": _weekday,
    "cel": _cel,
}
