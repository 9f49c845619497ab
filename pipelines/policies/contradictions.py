"""Contradictions: conditions that no job can fulfill at once, found without a job.

Conditions become alternatives, each a list of literals (one question about one subject, asked for or asked away). An
alternative is contradictory where the literals about one subject are. What is said to be contradictory is so for all
facts; what is not may still be. Where a subject has few possible values, the engine itself is asked about each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from pipelines.policies.conditions import DAYS, read_condition
from pipelines.policies.facts import Facts
from pipelines.policies.problems import Problems
from pipelines.policies.values import clash_of_values

MOST_ALTERNATIVES = 256
"""More of them are not looked at: a condition like that counts as one that can be fulfilled."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class Clash(NamedTuple):
    """Why conditions cannot hold at once; `path` leads to one that is part of it."""

    path: str
    problem: str


@dataclass(frozen=True, eq=False)
class Literal:
    """One question about one `subject`; `negated`: it must not hold."""

    kind: str
    subject: str
    data: Mapping[str, Any]
    path: str
    negated: bool

    @cached_property
    def _holds(self) -> Callable[[Facts], bool]:
        return read_condition(self.data, self.path, Problems()).holds

    def admits(self, value: Any) -> bool:
        """Whether it is fulfilled where its field has this value."""
        return self._holds(Facts(_ANY_TIME, values={self.subject: value})) is not self.negated


Alternative = tuple[Literal, ...]


class _TooMany(Exception):
    pass


def alternatives(condition: Any, path: str, *, negated: bool = False) -> list[Alternative] | None:
    """The alternatives of a validated condition, or of its opposite; None where there are too many."""
    try:
        return _alternatives(condition, path, negated)
    except _TooMany:
        return None


def clash_of(found: Iterable[Alternative]) -> Clash | None:
    """Why none of the alternatives can hold; None where one may. No alternatives at all: nothing can hold."""
    first: Clash | None = None
    for each in found:
        clash = _clash(each)
        if clash is None:
            return None
        first = first or clash
    return first or Clash("", "nothing fulfills it")


def together(one: Sequence[Alternative], other: Sequence[Alternative]) -> list[Alternative] | None:
    """The alternatives under which both hold; None where there are too many."""
    if len(one) * len(other) > MOST_ALTERNATIVES:
        return None
    return [left + right for left, right in product(one, other)]


def subjects(found: Iterable[Alternative]) -> frozenset[tuple[str, str]]:
    """What the alternatives ask about."""
    return frozenset((literal.kind, literal.subject) for each in found for literal in each)


def _alternatives(condition: Any, path: str, negated: bool) -> list[Alternative]:
    if "not" in condition:
        return _alternatives(condition["not"], f"{path}.not", not negated)
    for name in ("all", "any"):
        if name in condition:
            inner = (_alternatives(each, f"{path}.{name}[{n}]", negated) for n, each in enumerate(condition[name]))
            return _all_of(inner) if (name == "all") is not negated else _any_of(inner)
    return [(_literal(condition, path, negated),)]


def _any_of(inner: Iterator[list[Alternative]]) -> list[Alternative]:
    found: list[Alternative] = []
    for each in inner:
        found += each
        if len(found) > MOST_ALTERNATIVES:
            raise _TooMany
    return found


def _all_of(inner: Iterator[list[Alternative]]) -> list[Alternative]:
    found: list[Alternative] = [()]
    for each in inner:
        both = together(found, each)
        if both is None:
            raise _TooMany
        found = both
    return found


def _literal(condition: Mapping[str, Any], path: str, negated: bool) -> Literal:
    if "field" in condition:
        return Literal("field", condition["field"], condition, path, negated)
    if "cel" in condition:
        return Literal("cel", condition["cel"], condition, path, negated)
    kind = "time" if "time" in condition else "weekday"
    zone = condition[kind].get("zone")
    return Literal(kind, "UTC" if zone is None else zone, condition, path, negated)


def _clash(alternative: Alternative) -> Clash | None:
    by_subject: dict[tuple[str, str], list[Literal]] = {}
    for literal in alternative:
        by_subject.setdefault((literal.kind, literal.subject), []).append(literal)
    for (kind, _), literals in by_subject.items():
        why = _CHECKS[kind](literals)
        if why is not None:
            return Clash(literals[-1].path, why)
    return None


def _of_field(literals: Sequence[Literal]) -> str | None:
    return clash_of_values(literals[0].subject, literals)


def _of_cel(literals: Sequence[Literal]) -> str | None:
    return "it has to be true and false" if len({literal.negated for literal in literals}) > 1 else None


def _of_time(literals: Sequence[Literal]) -> str | None:
    """Windows begin and end at few times: between two of them nothing changes."""
    windows = [(_clock(each, "from"), _clock(each, "until"), each.negated) for each in literals]
    if any(end.tzinfo is not None for window in windows for end in window[:2]):
        return None
    moments = {time(0), *(end for window in windows for end in window[:2])}
    possible = any(all(_within(now, *window) for window in windows) for now in moments)
    return None if possible else "no time of day is in all of these windows"


def _clock(literal: Literal, end: str) -> time:
    return time.fromisoformat(literal.data["time"][end])


def _within(now: time, begin: time, end: time, negated: bool) -> bool:
    inside = begin <= now < end if begin < end else now >= begin or now < end
    return inside is not negated


def _of_weekday(literals: Sequence[Literal]) -> str | None:
    sets = [(frozenset(each.data["weekday"]["in"]), each.negated) for each in literals]
    possible = any(all((day in days) is not negated for days, negated in sets) for day in DAYS)
    return None if possible else "no day of the week is among all of these"


_CHECKS: Mapping[str, Callable[[Sequence[Literal]], str | None]] = {
    "field": _of_field,
    "cel": _of_cel,
    "time": _of_time,
    "weekday": _of_weekday,
}
