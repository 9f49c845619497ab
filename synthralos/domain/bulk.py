"""Operations on many dead letters: what they are about, and the states that they go through."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from synthralos.domain.failures import FailureClass
from synthralos.domain.scope import Scope

MOST_NAMED = 10_000
"""Jobs that one operation may name one by one."""


class BulkAct(StrEnum):
    """What is done to each job."""

    RETRY = "retry"
    REROUTE = "reroute"


class BulkState(StrEnum):
    """`running` until every job was looked at; a paused one goes on from where it stopped."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


CHANGES: dict[str, tuple[BulkState, frozenset[BulkState]]] = {
    "pause": (BulkState.PAUSED, frozenset({BulkState.RUNNING})),
    "resume": (BulkState.RUNNING, frozenset({BulkState.PAUSED})),
    "cancel": (BulkState.CANCELLED, frozenset({BulkState.RUNNING, BulkState.PAUSED})),
}
"""What people do to an operation: the state that it gets, and those that it may have before."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters: all conditions that are given have to hold. Times are when the job failed.

    `deployment`: which its last call went to.
    """

    failure_class: FailureClass | None = None
    model: str | None = None
    deployment: str | None = None
    workspace: str | None = None
    user: str | None = None
    run_id: str | None = None
    failed_after: datetime | None = None
    failed_before: datetime | None = None
    jobs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The stored and published form: what is given."""
        found = {
            "failure_class": None if self.failure_class is None else str(self.failure_class),
            "model": self.model,
            "deployment": self.deployment,
            "workspace": self.workspace,
            "user": self.user,
            "run_id": self.run_id,
            "failed_after": None if self.failed_after is None else self.failed_after.isoformat(),
            "failed_before": None if self.failed_before is None else self.failed_before.isoformat(),
            "jobs": list(self.jobs) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DeadLetterFilter":
        """The inverse of `to_json`."""
        found: dict[str, Any] = {**data, "jobs": tuple(data.get("jobs", ()))}
        for name in ("failed_after", "failed_before"):
            if name in data:
                found[name] = datetime.fromisoformat(data[name])
        if "failure_class" in data:
            found["failure_class"] = FailureClass(data["failure_class"])
        return cls(**found)


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """One operation. `per_second` bounds the jobs a second; `done` were retried or rerouted so far."""

    id: str
    scope: Scope
    name: str
    act: BulkAct
    filter: DeadLetterFilter
    created_by: str
    reason: str
    created_at: datetime
    changed_at: datetime
    changes: dict[str, Any] = field(default_factory=dict)
    per_second: float | None = None
    state: BulkState = BulkState.RUNNING
    last_id: str | None = None
    done: int = 0
    finished_at: datetime | None = None
    repeats: str | None = None
