"""Incidents: what the monitor found, with its evidence, and follows to its end. States and moves are tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class IncidentKind(StrEnum):
    """What is not as it was."""

    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    COST_PER_TOKEN = "cost_per_token"  # noqa: S105 - no secret: a kind
    QUEUE_AGE = "queue_age"
    STUCK_JOBS = "stuck_jobs"


class SubjectKind(StrEnum):
    """What an incident is about: a deployment, an organization, or a stage with its lane."""

    DEPLOYMENT = "deployment"
    ORGANIZATION = "organization"
    QUEUE = "queue"


class Severity(StrEnum):
    """`warning`: something gets worse, or costs more. `critical`: jobs fail or wait because of it."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """One row of the table of kinds. `unit` is that of the evidence's measured, baseline and limit."""

    meaning: str
    severity: Severity
    unit: str


KINDS: Mapping[IncidentKind, KindFacts] = {
    IncidentKind.ERROR_RATE: KindFacts("more calls fail than usual", Severity.CRITICAL, "share of calls"),
    IncidentKind.LATENCY: KindFacts(
        "calls take longer than usual for the length of their answers", Severity.WARNING, "times the usual seconds"
    ),
    IncidentKind.COST_PER_TOKEN: KindFacts(
        "tokens cost more than usual", Severity.WARNING, "times the usual USD a token"
    ),
    IncidentKind.QUEUE_AGE: KindFacts("jobs wait longer than usual before they are taken", Severity.WARNING, "seconds"),
    IncidentKind.STUCK_JOBS: KindFacts("jobs that should move do not", Severity.CRITICAL, "jobs"),
}
"""Every kind."""


class IncidentState(StrEnum):
    """Where an incident is. `closed` is the end."""

    OPEN = "open"
    REPAIRING = "repairing"
    VERIFYING = "verifying"
    ESCALATED = "escalated"
    CLOSED = "closed"


STATES: Mapping[IncidentState, str] = {
    IncidentState.OPEN: "it was found; nothing was done yet",
    IncidentState.REPAIRING: "a repair has begun, and it is not on record how it ended",
    IncidentState.VERIFYING: "a repair was made; whether it helped is watched",
    IncidentState.ESCALATED: "somebody has to look: no repair is left, or none helped",
    IncidentState.CLOSED: "over: it is as usual again, or somebody resolved it",
}
"""What each state says."""


class Move(StrEnum):
    """What happens to an incident."""

    BEGIN = "begin"
    VERIFY = "verify"
    ESCALATE = "escalate"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class MoveRule:
    """One row of the table of moves."""

    sources: frozenset[IncidentState]
    target: IncidentState
    meaning: str


_UNDONE = (IncidentState.OPEN, IncidentState.VERIFYING)
LIVE = frozenset(IncidentState) - {IncidentState.CLOSED}
"""States of an incident that is not over: there is one at most for a kind and a subject."""

MOVES: Mapping[Move, MoveRule] = {
    Move.BEGIN: MoveRule(frozenset(_UNDONE), IncidentState.REPAIRING, "a repair begins"),
    Move.VERIFY: MoveRule(frozenset({IncidentState.REPAIRING}), IncidentState.VERIFYING, "the repair was made"),
    Move.ESCALATE: MoveRule(
        frozenset({*_UNDONE, IncidentState.REPAIRING}), IncidentState.ESCALATED, "no repair is left, or none helped"
    ),
    Move.CLOSE: MoveRule(LIVE, IncidentState.CLOSED, "it is as usual again, or somebody resolved it"),
}
"""Every move that there is."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an incident is about: `deployment:ID`, `organization:NAME`, or `queue:STAGE/LANE`."""

    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """The inverse of `str`; raises `ValueError`."""
        kind, _, name = text.partition(":")
        return cls(SubjectKind(kind), name)

    @property
    def organization(self) -> str | None:
        """Whose matter it is; None: the installation's, and so its operators'."""
        return self.name if self.kind is SubjectKind.ORGANIZATION else None


UNDER_WAY = "under_way"
"""The outcome of a step that somebody else has taken over, and that another step ends."""

MOST_STEPS = 50
"""Steps that are kept of an incident: one that flaps for days fills no row."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was done about an incident, by whom, and what came of it. `before` and `after` as numbers and words."""

    at: datetime
    actor: str
    act: str
    outcome: str
    note: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "at": self.at.isoformat(),
            "actor": self.actor,
            "act": self.act,
            "outcome": self.outcome,
            "note": self.note,
            "before": dict(self.before),
            "after": dict(self.after),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Step":
        """The inverse of `to_json`."""
        return cls(**{**data, "at": datetime.fromisoformat(data["at"])})


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. `forecast`: it is about to come to it. `evidence`: the numbers of a `detection.Reading`."""

    id: str
    kind: IncidentKind
    subject: Subject
    state: IncidentState
    forecast: bool
    severity: Severity
    reason: str
    evidence: Mapping[str, float]
    steps: tuple[Step, ...]
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None

    @property
    def unit(self) -> str:
        """That of the evidence's measured, baseline and limit."""
        return KINDS[self.kind].unit

    def did(self, act: str) -> bool:
        """Whether that was done about it."""
        return any(step.act == act for step in self.steps)
