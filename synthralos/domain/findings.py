"""What guards saw (`Finding`) and what the guard stage decided (`Verdict`)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from synthralos.domain.overlays import NO_DEMANDS, Overlay


class Decision(StrEnum):
    """What a finding asks for, mildest first. `reuse`: the result of an earlier job answers this one."""

    ALLOW = "allow"
    FLAG = "flag"
    REUSE = "reuse"
    DEFER = "defer"
    DENY = "deny"


_SEVERITY = {decision: number for number, decision in enumerate(Decision)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard saw in one job.

    `reason` says it precisely, with the remedy, for the one who sent the job. `field` is the path in
    the request that it is about. `defer_seconds` belongs to `Decision.DEFER`. `signals` holds the
    measured values and the limits they were held against.
    """

    guard: str
    decision: Decision
    reason: str
    field: str | None = None
    defer_seconds: float | None = None
    signals: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "guard": self.guard,
            "decision": str(self.decision),
            "reason": self.reason,
            "field": self.field,
            "defer_seconds": self.defer_seconds,
            "signals": self.signals,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Finding":
        """The inverse of `to_json`."""
        return cls(
            data["guard"],
            Decision(data["decision"]),
            data["reason"],
            data.get("field"),
            data.get("defer_seconds"),
            data.get("signals") or {},
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The guard stage's decision on one job: the severest of its findings, and what policies demand of its way."""

    decision: Decision
    findings: tuple[Finding, ...] = ()
    overlay: Overlay = NO_DEMANDS

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Verdict":
        """The inverse of `to_json`."""
        overlay = Overlay.from_json(data["overlay"]) if "overlay" in data else NO_DEMANDS
        return cls(Decision(data["decision"]), tuple(Finding.from_json(found) for found in data["findings"]), overlay)

    @property
    def goes_on(self) -> bool:
        """Whether the job was neither denied nor put off."""
        return self.decision in (Decision.ALLOW, Decision.FLAG)

    @property
    def defer_seconds(self) -> float:
        """How long to wait when deferred: the longest wait that a finding asked for, in seconds."""
        return max((f.defer_seconds or 0.0 for f in self.findings if f.decision is Decision.DEFER), default=0.0)

    @property
    def reason(self) -> str:
        """The reasons of the findings that decided."""
        return "; ".join(f.reason for f in self.findings if f.decision is self.decision)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        found = {"decision": str(self.decision), "findings": [f.to_json() for f in self.findings]}
        return found if self.overlay is NO_DEMANDS else {**found, "overlay": self.overlay.to_json()}

    def demanding(self, overlay: Overlay) -> "Verdict":
        """The same verdict with these demands, too."""
        return Verdict(self.decision, self.findings, self.overlay.merged(overlay))


PASSED = Verdict(Decision.ALLOW)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """The verdict over all findings on one job; no finding at all allows it."""
    if not findings:
        return PASSED
    return Verdict(max((f.decision for f in findings), key=_SEVERITY.__getitem__), tuple(findings))


def with_finding(verdict: Verdict | None, finding: Finding) -> Verdict:
    """The verdict with one more finding, in the place of an earlier one of the same guard."""
    others = [] if verdict is None else [found for found in verdict.findings if found.guard != finding.guard]
    kept = NO_DEMANDS if verdict is None else verdict.overlay
    return verdict_of([*others, finding]).demanding(kept)
