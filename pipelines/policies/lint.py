"""Warnings about a policy set that is valid and may not be what was meant. Pure: no job, no database, no clock.

A set is read as `rules.read_document` takes it; what is wrong by itself is refused there, and not looked at here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from pipelines.policies.contradictions import Alternative, alternatives, clash_of, subjects, together
from pipelines.policies.known_names import unknown_names
from pipelines.policies.problems import Problems
from pipelines.policies.rules import Rule, read_rules
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision
from synthralos.domain.overlays import NO_DEMANDS, Overlay

MOST_WARNINGS = 100
"""Warnings that are told about one set."""

MOST_PAIRS = 20_000
"""So many pairs of rules are compared; where a set has more, the last rules are not."""


class Kind(StrEnum):
    """What a warning is about."""

    NEVER_MATCHES = "never_matches"
    SHADOWED = "shadowed"
    DENIES_EVERYTHING = "denies_everything"
    CONTRADICTORY = "contradictory"
    EXPIRED = "expired"
    UNKNOWN_NAME = "unknown_name"
    STOPS_TRAFFIC = "stops_traffic"


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """`path` leads to the place, `rule` names its rule. A `severe` one keeps a set from being published unforced."""

    kind: Kind
    path: str
    problem: str
    remedy: str
    rule: str | None = None
    severe: bool = False

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "kind": str(self.kind),
            "path": self.path,
            "problem": self.problem,
            "remedy": self.remedy,
            "rule": self.rule,
            "severe": self.severe,
        }


class _Read:
    """A rule that is switched on, with what its condition comes to."""

    def __init__(self, number: int, data: Mapping[str, Any], rule: Rule) -> None:
        self.number, self.data, self.rule = number, data, rule
        self.path = f"rules[{number}]"

    @cached_property
    def holds(self) -> list[Alternative] | None:
        """When it matches; None where that is too much to say."""
        return alternatives(self.data["when"], f"{self.path}.when") if "when" in self.data else [()]

    @cached_property
    def fails(self) -> list[Alternative] | None:
        """When it does not match."""
        if "when" not in self.data:
            return []
        return alternatives(self.data["when"], f"{self.path}.when", negated=True)

    @cached_property
    def subjects(self) -> frozenset[tuple[str, str]]:
        """What it asks about."""
        return subjects(self.holds or ())

    @cached_property
    def never(self) -> bool:
        """Whether it matches no job."""
        return self.holds is not None and "when" in self.data and clash_of(self.holds) is not None

    @cached_property
    def always(self) -> bool:
        """Whether it matches every job."""
        return self.fails is not None and clash_of(self.fails) is not None

    @property
    def denies(self) -> bool:
        return self.rule.decision is Decision.DENY


def lint(document: Mapping[str, Any], now: datetime, catalog: Catalog | None = None) -> list[PolicyWarning]:
    """The warnings about a valid document, those of the whole set first. Without a catalog, names are not looked at."""
    rules = list(_rules(document["rules"]))
    found = [*_dates(document, now), *_denies_everything(rules), *_demands(rules, catalog)]
    for rule in rules:
        found += _never(rule)
    found += _shadowed(rules)
    if catalog is not None:
        for rule in rules:
            found += [
                PolicyWarning(Kind.UNKNOWN_NAME, each.path, each.problem, each.remedy, rule.rule.id)
                for each in unknown_names(rule.data, rule.path, catalog)
            ]
    return found[:MOST_WARNINGS]


def _rules(documents: Sequence[Mapping[str, Any]]) -> Iterator[_Read]:
    for number, data in enumerate(documents):
        for rule in read_rules([data], Problems()):  # none where it is switched off
            yield _Read(number, data, rule)


def _dates(document: Mapping[str, Any], now: datetime) -> Iterator[PolicyWarning]:
    until = document.get("effective_until")
    if until is not None and datetime.fromisoformat(until) <= now:
        problem, remedy = "is over: the set decides about no job", "give a later time, or leave it out"
        yield PolicyWarning(Kind.EXPIRED, "effective_until", problem, remedy)


def _denies_everything(rules: Sequence[_Read]) -> Iterator[PolicyWarning]:
    for rule in rules:
        if rule.denies and rule.always:
            path = f"{rule.path}.when" if "when" in rule.data else rule.path
            remedy = "give it a condition that leaves something, or send force where this is meant"
            yield PolicyWarning(
                Kind.DENIES_EVERYTHING, path, "denies every job that the set is for", remedy, rule.rule.id, severe=True
            )


def _never(rule: _Read) -> Iterator[PolicyWarning]:
    if not rule.never:
        return
    clash = clash_of(rule.holds or ())
    assert clash is not None
    alone = len(rule.holds or ()) == 1
    path = clash.path if alone else f"{rule.path}.when"
    yield PolicyWarning(
        Kind.NEVER_MATCHES,
        path,
        f"the rule matches no job: {clash.problem}",
        "change or drop one of the conditions, or switch the rule off with enabled: false",
        rule.rule.id,
        severe=True,
    )


def _shadowed(rules: Sequence[_Read]) -> Iterator[PolicyWarning]:
    """Rules that match only what a deny of the set matches, too: they change nothing."""
    denies = [rule for rule in rules if rule.denies and not rule.never and rule.fails is not None]
    left = MOST_PAIRS
    for rule in rules:
        if rule.never or rule.holds is None:
            continue
        possible = [deny for deny in denies if _may_shadow(deny, rule)][:left]
        left -= len(possible)
        by = next((deny for deny in possible if _covers(deny, rule)), None)
        if by is not None:
            yield PolicyWarning(
                Kind.SHADOWED,
                rule.path,
                f"changes nothing: whatever it matches is denied by {by.path} ({by.rule.id:.80})",
                f"narrow the condition of {by.rule.id:.80}, or drop this rule",
                rule.rule.id,
                severe=True,
            )


def _may_shadow(deny: _Read, rule: _Read) -> bool:
    """Of two that deny, only the later one can be said to be too much; what does not deny may come first."""
    if deny is rule or (rule.denies and deny.number > rule.number):
        return False
    return deny.subjects <= rule.subjects or deny.always


def _covers(deny: _Read, rule: _Read) -> bool:
    """Whether the deny matches whatever the rule matches."""
    if deny.always:
        return True
    both = together(rule.holds or (), deny.fails or ())
    return both is not None and clash_of(both) is not None


def _demands(rules: Sequence[_Read], catalog: Catalog | None) -> Iterator[PolicyWarning]:
    """Demands that leave nothing: of each rule, and of all rules together that match every job."""
    overlay, sources = NO_DEMANDS, list[_Read]()
    for rule in rules:
        why = _leaves_nothing(rule.rule.overlay, catalog)
        if why is not None:
            remedy = "demand less, or add a deployment that fits"
            yield PolicyWarning(Kind.CONTRADICTORY, f"{rule.path}.then", why, remedy, rule.rule.id, severe=rule.always)
        elif rule.always and rule.rule.overlay is not NO_DEMANDS:
            overlay, sources = overlay.merged(rule.rule.overlay), [*sources, rule]
    why = _leaves_nothing(overlay, catalog)
    if why is not None:
        last = sources[-1]
        others = ", ".join(each.path for each in sources[:-1])
        yield PolicyWarning(
            Kind.CONTRADICTORY,
            f"{last.path}.then",
            f"matches every job, as {others} does, and together they leave nothing: {why}",
            "give one of them a condition, or demand what both leave",
            last.rule.id,
            severe=True,
        )


def _leaves_nothing(overlay: Overlay, catalog: Catalog | None) -> str | None:
    if overlay is NO_DEMANDS:
        return None
    why = overlay.impossible()
    if why is None and catalog is not None and len(catalog) and all(overlay.refusal(each) for each in catalog):
        why = "no deployment of the catalog fulfills it"
    return why
