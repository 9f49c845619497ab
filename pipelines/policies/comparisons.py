"""Comparisons: what a rule asks about the value of one field, as a function over facts that raises for no value.

A field that a job has no value for fulfills `ne`, `not_in` and `exists: false` alone.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.fields import Field, Kind
from pipelines.policies.operands import NUMBERS, key_of, list_of, ordered, range_of, text_of, there, value_of
from pipelines.policies.patterns import searcher
from pipelines.policies.problems import Unfit

Holds = Callable[[Facts], bool]

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
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


def comparison(known: Field, op: str, value: Any) -> Holds:
    """What tells whether the field's value is as asked; `op` is one of the field's. Raises `Unfit` for the value."""
    name = known.name
    if op in _EQUAL:
        return (_equal if op == "eq" else _unequal)(name, value_of(known, value))
    if op in _AMONG:
        return _among(name, [value_of(known, each) for each in list_of(value)], wanted=op == "in")
    if op in _ORDER:
        return _in_order(name, _ORDER[op], ordered(known, value))
    if op == "between":
        return _between(name, *range_of(known, value))
    if op == "contains":
        return _contains(known, value)
    if op == "matches":
        return _matches(name, text_of(value))
    return _exists(name, value)


def sought(known: Field, op: str, value: Any) -> frozenset[Any]:
    """The keys of which the field's value, or a member of it, has one wherever the comparison holds; none: unknown."""
    if op == "eq":
        return frozenset([key_of(value_of(known, value))])
    if op == "in":
        return frozenset(key_of(value_of(known, each)) for each in value)
    return frozenset([value]) if op == "contains" and known.kind is Kind.TEXTS else frozenset()


def _equal(name: str, wanted: Any) -> Holds:
    if isinstance(wanted, bool):
        return lambda facts: facts[name] is wanted
    if isinstance(wanted, str):
        return lambda facts: facts[name] == wanted
    return lambda facts: (seen := facts[name]) == wanted and type(seen) in NUMBERS


def _unequal(name: str, wanted: Any) -> Holds:
    if isinstance(wanted, bool):
        return lambda facts: facts[name] is not wanted
    if isinstance(wanted, str):
        return lambda facts: facts[name] != wanted
    return lambda facts: (seen := facts[name]) != wanted or type(seen) not in NUMBERS


def _among(name: str, given: list[Any], *, wanted: bool) -> Holds:
    values = frozenset(map(key_of, given))
    if all(isinstance(each, str) for each in given):
        if wanted:
            return lambda facts: isinstance(seen := facts[name], str) and seen in values
        return lambda facts: not isinstance(seen := facts[name], str) or seen not in values
    return lambda facts: (key_of(facts[name]) in values) is wanted


def _in_order(name: str, compare: Callable[[Any, Any], bool], wanted: Any) -> Holds:
    if isinstance(wanted, str):
        return lambda facts: isinstance(seen := facts[name], str) and compare(seen, wanted)
    return lambda facts: type(seen := facts[name]) in NUMBERS and compare(seen, wanted)


def _between(name: str, low: Any, high: Any) -> Holds:
    if isinstance(low, str):
        return lambda facts: isinstance(seen := facts[name], str) and low <= seen <= high
    return lambda facts: type(seen := facts[name]) in NUMBERS and low <= seen <= high


def _contains(known: Field, value: Any) -> Holds:
    name = known.name
    if known.kind is Kind.ANY and not isinstance(value, str):
        key = key_of(value_of(known, value))
        return lambda facts: isinstance(seen := facts[name], list) and any(key_of(each) == key for each in seen)
    part, types = text_of(value), {Kind.TEXT: str, Kind.TEXTS: list}.get(known.kind, (str, list))
    return lambda facts: isinstance(seen := facts[name], types) and part in seen


def _matches(name: str, pattern: str) -> Holds:
    """Equal questions of several rules are answered once per job."""
    search, kept_as = searcher(pattern), f"matches {name} {pattern}"

    def holds(facts: Facts) -> bool:
        found: bool | None = facts.kept.get(kept_as)
        if found is None:
            found = facts.kept[kept_as] = isinstance(seen := facts[name], str) and search(seen)
        return found

    return holds


def _exists(name: str, value: Any) -> Holds:
    if not isinstance(value, bool):
        raise Unfit("is not true or false", "write true where it has to be there, false where it must not")
    return lambda facts: there(facts[name]) is value
