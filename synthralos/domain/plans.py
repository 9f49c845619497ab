"""Routing plans: the deployments to try in order, each with its reason, and what was excluded and why."""

import hashlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Step:
    """One deployment to try. `estimated_cost` is in USD, None where the price is unknown."""

    deployment: str
    reason: str
    estimated_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One deployment that may not or need not be tried, and why."""

    deployment: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """The ordered steps; `cursor` is the index of the step that is tried now or next.

    `key` names the plan by its content, whatever the cursor: jobs that are alike share one stored plan.
    """

    strategy: str
    steps: tuple[Step, ...]
    exclusions: tuple[Exclusion, ...] = ()
    cursor: int = 0
    key: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.key:
            content = orjson.dumps(self.body())
            object.__setattr__(self, "key", hashlib.blake2b(content, digest_size=16).hexdigest())

    @property
    def current(self) -> Step | None:
        """The step at the cursor, or None when the plan is used up."""
        return self.steps[self.cursor] if self.cursor < len(self.steps) else None

    def at(self, cursor: int) -> "RoutingPlan":
        """The same plan with its cursor elsewhere."""
        return replace(self, cursor=cursor)

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {"cursor": self.cursor, **self.body()}

    def body(self) -> dict[str, Any]:
        """The stored form: everything but the cursor."""
        return {
            "strategy": self.strategy,
            "steps": [
                {
                    "deployment": s.deployment,
                    "reason": s.reason,
                    "estimated_cost_usd": None if s.estimated_cost is None else format(s.estimated_cost, "f"),
                }
                for s in self.steps
            ],
            "exclusions": [{"deployment": e.deployment, "reason": e.reason} for e in self.exclusions],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "RoutingPlan":
        """The inverse of `to_json`; a stored body without a cursor is at its first step."""
        steps = tuple(
            Step(
                s["deployment"],
                s["reason"],
                None if s["estimated_cost_usd"] is None else Decimal(s["estimated_cost_usd"]),
            )
            for s in data["steps"]
        )
        exclusions = tuple(Exclusion(e["deployment"], e["reason"]) for e in data["exclusions"])
        return cls(data["strategy"], steps, exclusions, data.get("cursor", 0))
