"""How long what is kept: by kind, for the installation and for organizations that have times of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

GRACE = timedelta(hours=1)
"""What is not kept at all stays so long after a job's end, so that who submitted it can fetch the result."""

REMOVED_REQUEST: Mapping[str, Any] = {"body": {"messages": []}, "provider_options": {}}
"""What stands in the place of a request whose text is not kept any more."""

LONGEST_DAYS = 36_500.0


class Kind(StrEnum):
    """What has a time of its own."""

    PAYLOADS = "payloads"
    JOBS = "jobs"
    DEAD_LETTERS = "dead_letters"
    ACCOUNTS = "accounts"
    SIMILARITY = "similarity"
    EVENTS = "events"
    HAPPENINGS = "happenings"
    EXPORTS = "exports"
    FIRINGS = "firings"
    IDEMPOTENCY_KEYS = "idempotency_keys"
    AUDIT = "audit"
    WAITS = "waits"
    RUNS = "runs"
    IMPORTS = "imports"
    BREAKERS = "breakers"
    DELIVERIES = "deliveries"
    INCIDENTS = "incidents"
    PROCESSES = "processes"


class Rule(NamedTuple):
    """How long a kind is kept unless somebody says otherwise, and the least that may be said. Days.

    `own`: organizations may have a time of their own.
    """

    days: float
    least: float
    own: bool
    meaning: str


RULES: Mapping[Kind, Rule] = {
    Kind.PAYLOADS: Rule(
        90, 0, True, "prompts, results and thoughts of finished jobs; 0: an hour after the job's end they are removed"
    ),
    Kind.JOBS: Rule(180, 0, True, "finished jobs with their spans, events, waits and feedback; what they cost stays"),
    Kind.DEAD_LETTERS: Rule(365, 0, True, "jobs that failed for good, whole, so that they can be retried"),
    Kind.ACCOUNTS: Rule(2_557, 35, True, "the books: calls, what they cost, and the sums of that"),
    Kind.SIMILARITY: Rule(30, 0.01, True, "fingerprints and vectors of prompts that were compared"),
    Kind.EVENTS: Rule(180, 0.01, True, "events of jobs, where their jobs are kept longer"),
    Kind.HAPPENINGS: Rule(180, 1, True, "what happened beside jobs"),
    Kind.EXPORTS: Rule(7, 0.01, False, "for so long a job is kept for an exporter that has not accepted its trace"),
    Kind.FIRINGS: Rule(90, 1, False, "what became of schedules' ticks, and backfills, once they have ended"),
    Kind.IDEMPOTENCY_KEYS: Rule(30, 0.01, False, "for so long an Idempotency-Key answers a repeat"),
    Kind.AUDIT: Rule(2_557, 35, False, "who changed what, and operations on many jobs that are over"),
    Kind.WAITS: Rule(180, 32, False, "wait points of agents that were answered or withdrawn"),
    Kind.RUNS: Rule(180, 1, False, "caps and forks of agent runs whose jobs are gone"),
    Kind.IMPORTS: Rule(365, 1, False, "which exported dead letters were imported"),
    Kind.BREAKERS: Rule(90, 1, False, "changes of circuit breakers; closed ones and quotas that nothing moves"),
    Kind.DELIVERIES: Rule(30, 1, False, "events that webhooks and StackStorm took, or that were set aside"),
    Kind.INCIDENTS: Rule(365, 1, False, "incidents that are over, and repairs by StackStorm"),
    Kind.PROCESSES: Rule(1, 0.01, False, "processes that have ended"),
}

_NOT_LONGER = ((Kind.PAYLOADS, Kind.JOBS), (Kind.JOBS, Kind.ACCOUNTS), (Kind.DEAD_LETTERS, Kind.ACCOUNTS))
"""What may not be kept longer than what: a part than the whole, and a job than what is on the books about it."""


class Wrong(NamedTuple):
    """A time that cannot be, and what would be right."""

    kind: Kind
    problem: str
    remedy: str


Days = Mapping[Kind, float]


@dataclass(frozen=True, slots=True)
class Retention:
    """Days by kind: the installation's, and what single organizations have of their own."""

    days: Days = field(default_factory=lambda: {kind: rule.days for kind, rule in RULES.items()})
    own: Mapping[str, Days] = field(default_factory=dict)

    def of(self, organization: str) -> Days:
        """What holds for an organization."""
        return {**self.days, **self.own.get(organization, {})}

    def age(self, kind: Kind, organization: str | None = None) -> timedelta:
        """How old that may get, of an organization or, with None, of all that have no time of their own."""
        days = self.days if organization is None else self.of(organization)
        return max(timedelta(days=days[kind]), GRACE if kind in _FETCHED else timedelta())

    def longest(self, kind: Kind) -> timedelta:
        """The longest time that anybody has."""
        return max([self.age(kind), *(self.age(kind, name) for name in self.own)])


_FETCHED = frozenset({Kind.PAYLOADS, Kind.JOBS, Kind.DEAD_LETTERS})


def errors(days: Days) -> Iterator[Wrong]:
    """What is wrong with the times that hold together."""
    for kind, value in days.items():
        least = RULES[kind].least
        if not least <= value <= LONGEST_DAYS:
            yield Wrong(kind, f"is {value:g} days", f"give {least:g} to {LONGEST_DAYS:g} days")
    for part, whole in _NOT_LONGER:
        if days[part] > days[whole]:
            told = f"is longer than {whole}: {days[part]:g} days against {days[whole]:g}"
            yield Wrong(part, told, f"give at most {days[whole]:g} days, or keep {whole} longer")


def own_days(stored: Mapping[str, float]) -> dict[Kind, float]:
    """An organization's own times from their stored form; what this release does not know is left out."""
    return {Kind(name): float(days) for name, days in stored.items() if name in set(Kind) and RULES[Kind(name)].own}
