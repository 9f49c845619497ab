"""What a remedy is, and what heal decides with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from synthralos.domain.attempts import PastAttempt
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Job
from synthralos.domain.repairs import RepairKind


@dataclass(frozen=True, slots=True)
class Case:
    """A failed job before heal: the failure, and all ended attempts (the failed one last, if there was one).

    `shut_keys` are the names of the keys with which the failed deployment gets no calls now, as far as is known;
    `stackstorm_shut`: StackStorm gets none.
    """

    job: Job
    failure: Failure
    history: Sequence[PastAttempt]
    now: datetime
    shut_keys: frozenset[str] = frozenset()
    stackstorm_shut: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Park the job and try the same deployment again after `seconds`."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class NextDeployment:
    """Go on at once with the plan's step number `cursor`."""

    cursor: int
    reason: str


@dataclass(frozen=True, slots=True)
class NextKey:
    """Go on at once with the same step of the plan, and another key."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Go on at once with the same step of the plan; the next call may say what was wrong with the answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class RouteAgain:
    """Back to the route stage, with `exclude` added to what must not be tried."""

    exclude: tuple[str, ...]
    reason: str
    seconds: float = field(default=0.0)


@dataclass(frozen=True, slots=True)
class Ask:
    """Park the job for `seconds`, and ask StackStorm for a repair with these parameters of its workflow.

    Without `executes` it is proposed, and what follows in the table decides.
    """

    kind: RepairKind
    seconds: float
    reason: str
    parameters: Mapping[str, Any]
    executes: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No remedy is left: the job becomes a dead letter. `proposed`: what StackStorm might have done."""

    reason: str
    proposed: Ask | None = None


Treatment = Wait | NextDeployment | NextKey | AskAgain | RouteAgain | Ask | GiveUp


class Remedy(Protocol):
    """One way to heal. A remedy that does not apply to the case returns None, and the next one is asked."""

    @property
    def name(self) -> str:
        """The name that spans, repairs and metrics carry."""
        ...

    def treat(self, case: Case) -> Treatment | None:
        """What to do, or None where this remedy does not apply (any more)."""
        ...
