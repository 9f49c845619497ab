"""Coverage: which rules of a policy set match jobs, and which have matched none for long. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from synthralos.domain.policies import PolicySet

IDLE = timedelta(days=30)
"""A rule that has matched nothing for so long is told to be idle."""


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """How many jobs a rule has matched, when last, and since when it is there."""

    rule: str
    matches: int
    last_matched_at: datetime | None
    since: datetime
    idle: bool


def coverage_of(
    policy: PolicySet,
    versions: Sequence[tuple[PolicySet | None, datetime]],
    matches: Mapping[str, tuple[int, datetime]],
    now: datetime,
) -> list[RuleCoverage]:
    """The rules of a set, in their order. `versions`: newest first, with the time of each; `matches`: (count, last)."""
    since, found = _since(versions), []
    for name in map(_name, policy.rules):
        count, last = matches.get(name, (0, None))
        idle = max(since[name], last or since[name]) < now - IDLE
        found.append(RuleCoverage(name, count, last, since[name], idle))
    return found


def _since(versions: Sequence[tuple[PolicySet | None, datetime]]) -> dict[str, datetime]:
    """When each rule came; one that was taken out and came back counts from then on."""
    since: dict[str, datetime] = {}
    for policy, changed_at in reversed(versions):
        names = () if policy is None else map(_name, policy.rules)
        since = {name: since.get(name, changed_at) for name in names}
    return since


def _name(rule: Mapping[str, object]) -> str:
    return str(rule["id"])
