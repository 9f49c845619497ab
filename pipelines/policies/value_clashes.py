"""Which values a field could have for all questions about it to be answered as wanted, where that can be told."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from pipelines.policies.fields import Field, Kind, field_named
from synthralos.domain.findings import Decision
from synthralos.domain.states import Lane

_ORDER = frozenset({"lt", "le", "gt", "ge", "between"})
_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}
_VALUED = _ORDER | {"eq", "in", "contains", "matches"}
"""Operators that only a value fulfills."""

_UNIVERSES: Mapping[str, tuple[str, ...]] = {
    "lane": tuple(Lane),
    "verdict": (Decision.ALLOW, Decision.FLAG, Decision.REUSE),
}
"""Fields that have few values. Policies are never asked about a job that the guards denied or put off."""

_NOTHING: tuple[Any, ...] = (None, "", [], {})
"""The values of a field in which nothing is there."""

_ALL_TYPES = frozenset({"text", "number", "list", "other"})


class Question(Protocol):
    """A condition on one field, and whether it must hold or must not."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The condition."""

    @property
    def negated(self) -> bool:
        """Whether it must not hold."""

    def admits(self, value: Any) -> bool:
        """Whether it is answered as wanted where the field has this value."""


def clash_of_values(name: str, questions: Sequence[Question]) -> str | None:
    """Why no value of the field, nor its absence, gives all the wanted answers; None where one may."""
    known = field_named(name)
    if known is None:
        return None
    absent, present = any(map(_demands_none, questions)), any(map(_demands_value, questions))
    if absent:
        none = _tried(name, _NOTHING, questions)
        return f"{name} has to have a value and to have none" if none and present else none
    if not present:
        return None
    candidates = _candidates(known, questions)
    if candidates is not None:
        return _tried(name, candidates, questions)
    return _types(known, questions) or _range(known, questions) or _parts(known, questions)


def _tried(name: str, candidates: Sequence[Any], questions: Sequence[Question]) -> str | None:
    if any(all(question.admits(each) for question in questions) for each in candidates):
        return None
    return f"no value of {name} fulfills all that is asked of it"


def _op(question: Question) -> str:
    op: str = question.data["op"]
    return op


def _demands_value(question: Question) -> bool:
    op = _op(question)
    if op == "exists":
        return question.data["value"] is not question.negated
    return op in ("ne", "not_in") if question.negated else op in _VALUED


def _demands_none(question: Question) -> bool:
    return _op(question) == "exists" and question.data["value"] is question.negated


def _candidates(known: Field, questions: Sequence[Question]) -> list[Any] | None:
    """All values that can come into question; None where they are too many to try."""
    lists = [found for question in questions if (found := _wanted(question)) is not None]
    if known.name in _UNIVERSES:
        return list(_UNIVERSES[known.name])
    if not lists:
        return None
    values = [_value(known, each) for each in min(lists, key=len)]
    if known.name == "classification":
        return [each for each in values if each == each.strip().lower()]
    return values


def _wanted(question: Question) -> list[Any] | None:
    """The only values with which it is answered as wanted."""
    op, value = _op(question), question.data["value"]
    if op == ("ne" if question.negated else "eq"):
        return [value]
    return value if op == ("not_in" if question.negated else "in") else None


def _value(known: Field, given: Any) -> Any:
    if known.kind is not Kind.MONEY:
        return given
    return Decimal(given if isinstance(given, str) else repr(given))


def _types(known: Field, questions: Sequence[Question]) -> str | None:
    """Only what the sender gave may be of any type."""
    if known.kind is not Kind.ANY:
        return None
    left = _ALL_TYPES
    for question in questions:
        if not question.negated:
            left &= _types_of(_op(question), question.data["value"])
    return None if left else f"{known.name} has to be of several types at once"


def _types_of(op: str, value: Any) -> frozenset[str]:
    if op == "matches":
        return frozenset({"text"})
    if op == "contains":
        return frozenset({"text", "list"})
    if op in _ORDER:
        one = value[0] if op == "between" else value
        return frozenset({"text" if isinstance(one, str) else "number"})
    return _ALL_TYPES


class _End(NamedTuple):
    value: Any
    included: bool


def _range(known: Field, questions: Sequence[Question]) -> str | None:
    lows, highs = _natural(known)
    for question in questions:
        for op, value in _bounds(known, question):
            if op in ("gt", "ge"):
                lows.append(_End(value, op == "ge"))
            else:
                highs.append(_End(value, op == "le"))
    if not lows or not highs:
        return None
    low = max(lows, key=lambda end: (end.value, not end.included))
    high = min(highs, key=lambda end: (end.value, end.included))
    if low.value > high.value or (low.value == high.value and not (low.included and high.included)):
        return f"no value of {known.name} is in the range that is left"
    return _tried(known.name, [low.value], questions) if low.value == high.value else None


def _natural(known: Field) -> tuple[list[_End], list[_End]]:
    """Counts, scores and money are never negative, and a score is 1 at most."""
    if known.kind not in (Kind.NUMBER, Kind.MONEY):
        return [], []
    return [_End(0, True)], [_End(1, True)] if known.unit == "0 to 1" else []


def _bounds(known: Field, question: Question) -> list[tuple[str, Any]]:
    op, value = _op(question), question.data["value"]
    if op not in _ORDER:
        return []
    if op == "between":
        low, high = (_value(known, each) for each in value)
        return [] if question.negated else [("ge", low), ("le", high)]
    if not question.negated:
        return [(op, _value(known, value))]
    # What has a value and is a number is on the other side; what may be of any type need not be.
    return [] if known.kind is Kind.ANY else [(_OPPOSITE[op], _value(known, value))]


def _parts(known: Field, questions: Sequence[Question]) -> str | None:
    """A text that has a part has the parts of that part."""
    asked = [(question.data["value"], question.negated) for question in questions if _op(question) == "contains"]
    wanted = [part for part, negated in asked if not negated]
    for part, negated in asked:
        if negated and any(part == each or (known.kind is Kind.TEXT and part in each) for each in wanted):
            return f"{known.name} has to contain {part!r:.80} and not to contain it"
    texts = {(question.data["value"], question.negated) for question in questions if _op(question) == "matches"}
    return next(
        (f"{known.name} has to match {text!r:.80} and not to match it" for text, no in sorted(texts)
         if not no and (text, True) in texts),
        None,
    )  # fmt: skip
