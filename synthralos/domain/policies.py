"""Policies: what a policy set is, and what the rules of all sets decided about a job."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from synthralos.domain.findings import Decision
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.waits import APPROVE, DENY, Answer

POLICIES = "policies"
"""The name that findings of policies carry, in the place of a guard's."""

EVERYBODY = 100.0
"""Percent: the set holds for all organizations of its scope."""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """One version of a policy set, as it is stored. `rules` is plain JSON; `pipelines.policies.schema` reads it.

    Without an organization it holds for all of them, without a workspace for all of the organization's. Of sets of
    one scope, the higher `priority` comes first. A `shadow` set is evaluated and reported, never enforced. `share` is
    the percentage of organizations (0 to 100) for which it holds. It holds from `effective_from` until before
    `effective_until`, both with a zone.
    """

    id: str
    name: str
    version: int
    rules: tuple[Mapping[str, Any], ...]
    organization: str | None = None
    workspace: str | None = None
    priority: int = 0
    enabled: bool = True
    shadow: bool = False
    share: float = EVERYBODY
    effective_from: datetime | None = None
    effective_until: datetime | None = None

    @property
    def width(self) -> int:
        """How narrow its scope is: 2 one workspace, 1 one organization, 0 all."""
        return (self.organization is not None) + (self.workspace is not None)

    def covers(self, other: "PolicySet") -> bool:
        """Whether it holds for everybody for whom the other one may."""
        return self.organization in (None, other.organization) and self.workspace in (None, other.workspace)

    def effective(self, now: datetime) -> bool:
        """Whether it holds at that time."""
        begun = self.effective_from is None or self.effective_from <= now
        return begun and (self.effective_until is None or now < self.effective_until)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "organization": self.organization,
            "workspace": self.workspace,
            "priority": self.priority,
            "enabled": self.enabled,
            "shadow": self.shadow,
            "share": self.share,
            "effective_from": _iso(self.effective_from),
            "effective_until": _iso(self.effective_until),
            "rules": [dict(rule) for rule in self.rules],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PolicySet":
        """The inverse of `to_json`."""
        return cls(
            data["id"],
            data["name"],
            data["version"],
            tuple(data["rules"]),
            data.get("organization"),
            data.get("workspace"),
            data.get("priority", 0),
            data.get("enabled", True),
            data.get("shadow", False),
            data.get("share", EVERYBODY),
            _time(data.get("effective_from")),
            _time(data.get("effective_until")),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """Who has to approve a job, within how many seconds, and whether it goes on where nobody does (`on_silence`)."""

    by: str
    seconds: float
    on_silence: Literal["approve", "deny"] = "deny"

    @property
    def default(self) -> Answer:
        """The answer that holds when the deadline passes."""
        return APPROVE if self.on_silence == "approve" else DENY

    def merged(self, other: "Approval") -> "Approval":
        """One approval for both: by either's names, within the shorter time, and denied where either would be."""
        names = dict.fromkeys([*self.by.split(", "), *other.by.split(", ")])
        denied = "deny" in (self.on_silence, other.on_silence)
        return Approval(", ".join(names), min(self.seconds, other.seconds), "deny" if denied else "approve")

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {"by": self.by, "within_seconds": self.seconds, "default": self.on_silence}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Approval":
        """The inverse of `to_json`."""
        return cls(data["by"], data["within_seconds"], data["default"])


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that matched, and what it said: `decision`, and `text` for the one who sent the job.

    `actions` are the names of what the rule does. `error`: the rule could not be evaluated, and why. `condition`: what
    decided, in words, where it is more than allowed; without the values of a set that is the installation's own.
    `approval`: what it waits for, where that is asked and was not given yet.
    """

    set_id: str
    set_name: str
    version: int
    rule: str
    decision: Decision
    text: str
    actions: tuple[str, ...] = ()
    error: str | None = None
    condition: str = ""
    approval: Approval | None = None

    @property
    def label(self) -> str:
        """Which rule it is."""
        return f"policy set {self.set_name} version {self.version}, rule {self.rule}"

    @property
    def told(self) -> str:
        """What it said, which rule it is, and the condition that decided."""
        return f"{self.text} ({self.label}{': ' if self.condition else ''}{self.condition})"

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            **dataclasses.asdict(self),
            "decision": str(self.decision),
            "actions": list(self.actions),
            "approval": None if self.approval is None else self.approval.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Reason":
        """The inverse of `to_json`."""
        asked = data.get("approval")
        read = {
            "decision": Decision(data["decision"]),
            "actions": tuple(data["actions"]),
            "approval": None if asked is None else Approval.from_json(asked),
        }
        return cls(**{**data, **read})


@dataclass(frozen=True, slots=True)
class Ruling:
    """What policies decided about one job.

    `reasons`: the rules that matched, narrowest scope first. `defer_seconds`: how long to wait when deferred.
    `approvals`: who has to approve the job first. `shadows`: what sets in shadow mode would have decided, had they
    alone been asked; their reasons name them.
    """

    decision: Decision
    reasons: tuple[Reason, ...] = ()
    overlay: Overlay = NO_DEMANDS
    defer_seconds: float = 0.0
    approvals: tuple[str, ...] = ()
    shadows: tuple["Ruling", ...] = ()

    @property
    def reason(self) -> str:
        """What the rules that decided said, and which they are."""
        return "; ".join(each.told for each in self.reasons if each.decision is self.decision)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "decision": str(self.decision),
            "reasons": [reason.to_json() for reason in self.reasons],
            "overlay": self.overlay.to_json(),
            "defer_seconds": self.defer_seconds,
            "approvals": list(self.approvals),
            "shadows": [shadow.to_json() for shadow in self.shadows],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Ruling":
        """The inverse of `to_json`."""
        return cls(
            Decision(data["decision"]),
            tuple(Reason.from_json(reason) for reason in data["reasons"]),
            Overlay.from_json(data["overlay"]),
            data["defer_seconds"],
            tuple(data["approvals"]),
            tuple(cls.from_json(shadow) for shadow in data["shadows"]),
        )


UNRULED = Ruling(Decision.ALLOW)
"""No rule matched."""


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
