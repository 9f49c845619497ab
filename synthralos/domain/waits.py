"""Wait points: where a job or a run waits for a person's approval or for a signal, with a deadline and a default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from synthralos.domain.ids import new_id

LONGEST_WAIT_POINT = 31 * 86_400.0
"""Seconds that a wait point may be open at most."""

MOST_PAYLOAD_BYTES = 16_384
"""Of a signal's payload, as JSON."""

WAITS = "waits"
"""The name that findings about wait points carry, in the place of a guard's."""

AtDeadline = Literal["continue", "deny"]
"""What becomes of a job whose signal did not come."""


class WaitKind(StrEnum):
    """`approval`: somebody says yes or no. `signal`: somebody, or something, sends a payload."""

    APPROVAL = "approval"
    SIGNAL = "signal"


class WaitState(StrEnum):
    """`timed_out`: its deadline passed, and its default holds. `withdrawn`: its job went on or ended without it."""

    OPEN = "open"
    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    WITHDRAWN = "withdrawn"


Answer = Mapping[str, Any]
"""Of an approval `{"answer": "approve"}` or `{"answer": "deny"}`; of a signal `{"payload": …}`."""

APPROVE: Answer = {"answer": "approve"}
DENY: Answer = {"answer": "deny"}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a job was let through: `what` names a policy's rule or a signal; by whom, and in which wait.

    A rule is named with the version of its set (`approval_of`): another version asks again.
    """

    what: str
    wait: str
    by: str

    def to_json(self) -> dict[str, str]:
        """The stored and published form."""
        return {"what": self.what, "wait": self.wait, "by": self.by}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> "Grant":
        """The inverse of `to_json`."""
        return cls(data["what"], data["wait"], data["by"])


def approval_of(set_id: str, version: int, rule: str) -> str:
    """What an approval of this rule grants."""
    return f"policy:{set_id}@{version}/{rule}"


def signal_of(name: str) -> str:
    """What a signal of this name grants."""
    return f"signal:{name}"


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A job's own wait point: before it is routed it waits for this signal, for so many seconds at most."""

    signal: str
    seconds: float
    at_deadline: AtDeadline = "deny"

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {"signal": self.signal, "within_seconds": self.seconds, "default": self.at_deadline}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "WaitFor":
        """The inverse of `to_json`."""
        return cls(data["signal"], data["within_seconds"], data.get("default", "deny"))


@dataclass(frozen=True, slots=True)
class NewWait:
    """A wait point that is about to be opened, for `seconds`.

    `default`: the answer that holds when the deadline passes. None: there is none; a job is denied then. `grants`: what
    its job is let through by an answer that lets it go on.
    """

    kind: WaitKind
    name: str
    prompt: str
    seconds: float
    deadline: datetime
    default: Answer | None = None
    grants: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait point as it is stored. `answered_by` is who answered, `system` where the deadline passed."""

    id: str
    organization: str
    workspace: str
    user: str | None
    job_id: str | None
    run_id: str | None
    kind: WaitKind
    name: str
    prompt: str
    state: WaitState
    default: Answer | None
    answer: Answer | None
    grants: tuple[str, ...]
    comment: str
    answered_by: str | None
    opened_at: datetime
    deadline: datetime
    answered_at: datetime | None

    @property
    def lets_go_on(self) -> bool:
        """Whether its answer lets the job go on."""
        if self.kind is WaitKind.APPROVAL:
            return self.answer == APPROVE
        return self.answer is not None

    @property
    def told(self) -> str:
        """What became of it, in a sentence's part."""
        what = f"{self.kind} {self.name}"
        if self.state is WaitState.TIMED_OUT:
            return f"nobody answered the {what} in time"
        if self.state is WaitState.WITHDRAWN:
            return f"the {what} was withdrawn"
        word = "denied" if self.answer == DENY else "approved" if self.kind is WaitKind.APPROVAL else "sent"
        return f"the {what} was {word} by {self.answered_by}{': ' if self.comment else ''}{self.comment}"
