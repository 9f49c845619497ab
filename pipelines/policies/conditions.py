"""Conditions: from their JSON to functions over facts, with every mistake named by its path."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipelines.policies.clocks import DAYS, Clock, time_of_day, weekday
from pipelines.policies.comparisons import OPERATORS, Holds, comparison, sought
from pipelines.policies.expressions import expression
from pipelines.policies.facts import NAMES, Facts
from pipelines.policies.fields import METADATA, Field, field_named
from pipelines.policies.needs import MOST_KEYS, Need, Needs, of_all, of_any
from pipelines.policies.operands import MOST_VALUES, text_of
from pipelines.policies.problems import Problems, Unfit, shown

__all__ = ["ALWAYS", "DAYS", "MOST_CONDITIONS", "MOST_DEPTH", "MOST_VALUES", "OPERATORS", "Condition", "read_condition"]

Seen = dict[str, Any]

MOST_DEPTH = 8
MOST_CONDITIONS = 200
"""Of one rule, inner ones and those that they are in."""

_CHEAP, _DEAR, _DEAREST = 0, 1, 2
_SLOW_FIELDS = frozenset({"prompt", "prompt_characters", "prompt_tokens", "estimated_cost", "worst_cost"})


@dataclass(frozen=True, slots=True)
class Condition:
    """`holds` tells whether it is fulfilled; `seen` tells why, with the values that were looked at.

    `why` says in words what decided, where it holds: with the values of the rule where the second argument is true;
    never with those of the job. `safe`: asking it raises nothing. `cost` is how long it takes to ask, roughly.
    """

    holds: Holds
    seen: Callable[[Facts], Seen]
    why: Callable[[Facts, bool], str]
    needs: Needs = ()
    safe: bool = True
    cost: int = _CHEAP


ALWAYS = Condition(lambda facts: True, lambda facts: {"always": True, "holds": True}, lambda facts, values: "always")
"""The condition of a rule without one."""

_NEVER = Condition(lambda facts: False, lambda facts: {"holds": False}, lambda facts, values: "never")


def read_condition(data: Any, path: str, problems: Problems) -> Condition:
    """The condition of its JSON; where it is wrong, `problems` hears of it, and what comes back never holds."""
    if _more_than(MOST_CONDITIONS, data):
        problems.add(path, f"has more than {MOST_CONDITIONS} conditions", "write several rules, or use in with a list")
        return _NEVER
    return _read(data, path, problems, 0)


def _more_than(most: int, data: Any) -> bool:
    """Whether there are more conditions in it."""
    left, count = [data], 0
    while left and count <= most:
        each = left.pop()
        count += 1
        if isinstance(each, Mapping):
            left += [each["not"]] if "not" in each else []
            left += [one for name in ("all", "any") if isinstance(each.get(name), list) for one in each[name]]
    return count > most


def _read(data: Any, path: str, problems: Problems, depth: int) -> Condition:
    if not isinstance(data, Mapping) or not data:
        problems.add(path, "is no condition", 'write an object such as {"field": "model", "op": "eq", "value": "auto"}')
        return _NEVER
    if depth >= MOST_DEPTH:
        problems.add(path, f"is nested more than {MOST_DEPTH} deep", "simplify it")
        return _NEVER
    kinds = [name for name in _READERS if name in data]
    if len(kinds) != 1:
        problems.add(path, "is no single condition", f"give one of {', '.join(_READERS)}")
        return _NEVER
    allowed = {"field", "op", "value"} if kinds[0] == "field" else {kinds[0]}
    for name in data.keys() - allowed:
        problems.add(f"{path}.{name:.80}", "is no member of this condition", f"leave it out; {kinds[0]} stands alone")
    return _READERS[kinds[0]](data, path, problems, depth)


def _several(data: Mapping[str, Any], name: str, path: str, problems: Problems, depth: int) -> list[Condition]:
    inner = data[name]
    if not isinstance(inner, list) or not inner:
        problems.add(f"{path}.{name}", "is no list of conditions", f"list 1 to {MOST_CONDITIONS} of them")
        return []
    return [_read(each, f"{path}.{name}[{n}]", problems, depth + 1) for n, each in enumerate(inner)]


def _cheapest_first(inner: list[Condition]) -> list[Condition]:
    """In the order in which they are asked: what may raise stays where it is, and what comes after it."""
    safe = next((n for n, each in enumerate(inner) if not each.safe), len(inner))
    return sorted(inner[:safe], key=lambda each: each.cost) + inner[safe:]


def _all(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = _several(data, "all", path, problems, depth)
    tests = tuple(each.holds for each in _cheapest_first(inner))
    unsafe = next((n for n, each in enumerate(inner) if not each.safe), len(inner))

    def holds(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - as a loop it costs half of what all() and a generator do
            if not test(facts):
                return False
        return True

    return Condition(
        _one_or(tests, holds),
        lambda facts: {"all": [each.seen(facts) for each in inner], "holds": holds(facts)},
        lambda facts, values: " and ".join(each.why(facts, values) for each in inner),
        of_all([each.needs for each in inner[: unsafe + 1]]),
        unsafe == len(inner),
        max((each.cost for each in inner), default=_CHEAP),
    )


def _any(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = _several(data, "any", path, problems, depth)
    tests = tuple(each.holds for each in _cheapest_first(inner))

    def holds(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - see above
            if test(facts):
                return True
        return False

    return Condition(
        _one_or(tests, holds),
        lambda facts: {"any": [each.seen(facts) for each in inner], "holds": holds(facts)},
        lambda facts, values: next(each.why(facts, values) for each in inner if each.holds(facts)),
        of_any([each.needs for each in inner]),
        all(each.safe for each in inner),
        max((each.cost for each in inner), default=_CHEAP),
    )


def _one_or(tests: tuple[Holds, ...], holds: Holds) -> Holds:
    return tests[0] if len(tests) == 1 else holds


def _not(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    inner = _read(data["not"], f"{path}.not", problems, depth + 1)
    test = inner.holds
    return Condition(
        lambda facts: not test(facts),
        lambda facts: {"not": inner.seen(facts), "holds": not test(facts)},
        lambda facts, values: f"not ({_words(data['not'], values=values)})",
        safe=inner.safe,
        cost=inner.cost,
    )


def _field(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    name, op, value = data["field"], data.get("op"), data.get("value")
    known = field_named(name) if isinstance(name, str) else None
    if known is None:
        near = NAMES.near(name) if isinstance(name, str) else []
        remedy = f"did you mean {near[0]}?" if near else "see the fields in docs/policies.md"
        problems.add(f"{path}.field", f"{shown(name)} is no field", remedy)
        return _NEVER
    if not isinstance(op, str) or op not in OPERATORS[known.kind]:
        possible = ", ".join(sorted(OPERATORS[known.kind]))
        problems.add(f"{path}.op", f"{shown(op)} cannot be asked of {shown(name)}, a {known.kind}", f"use {possible}")
        return _NEVER
    try:
        holds = comparison(known, op, value)
    except Unfit as error:
        problems.unfit(f"{path}.value", error)
        return _NEVER
    read = known.name
    return Condition(
        holds,
        lambda facts: {"field": read, "op": op, "value": value, "seen": _shown(facts[read]), "holds": holds(facts)},
        lambda facts, values: _words(data, values=values),
        _needs(known, op, value),
        cost=_DEAREST if op == "matches" else _DEAR if read in _SLOW_FIELDS else _CHEAP,
    )


def _needs(known: Field, op: str, value: Any) -> Needs:
    if not known.index and not known.name.startswith(METADATA):
        return ()
    keys = sought(known, op, value)
    return (Need(frozenset((known.name, key) for key in keys)),) if 0 < len(keys) <= MOST_KEYS else ()


def _words(data: Mapping[str, Any], *, values: bool) -> str:
    """A condition in words, without the values that it names where they are not to be told."""
    if "field" in data:
        value = json.dumps(data.get("value"), ensure_ascii=False) if values else "…"
        return f"{data['field']} {data['op']} {value if len(value) <= 80 else value[:79] + '…'}"
    if "not" in data:
        return f"not ({_words(data['not'], values=values)})"
    for name, between in (("all", " and "), ("any", " or ")):
        if name in data:
            return between.join(_words(each, values=values) for each in data[name])
    if "cel" in data:
        return f"cel {data['cel'] if values else '…'}"
    return "the time of day" if "time" in data else "the day of the week"


def _shown(seen: Any) -> Any:
    """A value as it is told: exact money as text, and no more of a text than tells what it is."""
    if isinstance(seen, Decimal):
        return format(seen, "f")
    return f"{seen[:200]}…" if isinstance(seen, str) and len(seen) > 200 else seen


def _clock(name: str, read: Callable[[Any], Clock]) -> "_Reader":
    def condition(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
        given = data[name]
        try:
            holds, now = read(given)
        except Unfit as error:
            problems.unfit(f"{path}.{name}", error)
            return _NEVER
        return Condition(
            holds,
            lambda facts: {name: dict(given), "seen": now(facts), "holds": holds(facts)},
            lambda facts, values: _words(data, values=values),
        )

    return condition


def _cel(data: Mapping[str, Any], path: str, problems: Problems, depth: int) -> Condition:
    text = data["cel"]
    try:
        holds, names = expression(text_of(text))
    except Unfit as error:
        problems.unfit(f"{path}.cel", error)
        return _NEVER
    return Condition(
        holds,
        lambda facts: {"cel": text, "seen": {n: _shown(facts[n]) for n in names}, "holds": holds(facts)},
        lambda facts, values: _words(data, values=values),
        safe=False,
        cost=_DEAREST,
    )


_Reader = Callable[[Mapping[str, Any], str, Problems, int], Condition]

_READERS: Mapping[str, _Reader] = {
    "field": _field,
    "all": _all,
    "any": _any,
    "not": _not,
    "time": _clock("time", time_of_day),
    "weekday": _clock("weekday", weekday),
    "cel": _cel,
}
