"""Caps of agent runs: how many calls a run may make, until when, for how much, and how often it may go round."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

DEFAULT_REPEATS = 3
"""Equal answers to the same step and input, one after the other, after which it is not asked again."""

MOST_REPEATS = 100
MOST_CALLS = 1_000_000

MOST_CAPPED = 10_000
"""Runs of the whole installation that have caps at once: every process keeps them in memory."""

REMEDY = "raise it by PUT /api/v1/runs/{run_id}, then recover the run"


@dataclass(frozen=True, slots=True)
class RunCaps:
    """The caps of one run of an organization; None: it has no such cap.

    `budget_id` names the budget with which `max_cost` (USD) is held.
    """

    organization: str
    run_id: str
    max_calls: int | None = None
    deadline: datetime | None = None
    max_repeats: int = DEFAULT_REPEATS
    budget_id: str | None = None
    max_cost: Decimal | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What names it."""
        return self.organization, self.run_id

    def refusal(self, calls: int, now: datetime) -> str | None:
        """Why no further call may start at that time, after so many calls; None where one may."""
        remedy = REMEDY.format(run_id=self.run_id)
        if self.deadline is not None and self.deadline <= now:
            return f"the deadline of the run {self.run_id} passed at {_time(self.deadline)}: {remedy}"
        if self.max_calls is not None and calls >= self.max_calls:
            return f"the run {self.run_id} has made its max_calls of {self.max_calls}: {remedy}"
        return None

    def round_refusal(self, step: str) -> str:
        """Why a step is not asked again that was answered the same each time."""
        return (
            f"the run {self.run_id} goes round: its step {step} was asked the same and answered the same "
            f"{self.max_repeats} times (max_repeats); change its input, or {REMEDY.format(run_id=self.run_id)}"
        )

    def cost_refusal(self) -> str:
        """Why a call may not start that its money has no room for."""
        remedy = REMEDY.format(run_id=self.run_id)
        return f"max_cost_usd of the run {self.run_id} has no room for the call: {remedy}"

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "max_calls": self.max_calls,
            "max_cost_usd": None if self.max_cost is None else format(self.max_cost, "f"),
            "deadline": None if self.deadline is None else _time(self.deadline),
            "max_repeats": self.max_repeats,
        }


@dataclass(frozen=True, slots=True)
class CapsUse:
    """Caps, and what was used of them. `refused_reason`: why the run was last refused a call since they were set."""

    caps: RunCaps
    calls: int
    spent: Decimal
    held: Decimal
    refused_reason: str | None
    refused_at: datetime | None


CapsByRun = Mapping[tuple[str, str], RunCaps]
"""The caps of runs by organization and `run_id`."""


def goes_round(results: Sequence[Mapping[str, Any] | None], times: int) -> bool:
    """Whether there are so many results, and all say the same; what they cost, and ids in them, do not matter.

    One that is not kept any more (None) says nothing.
    """
    kept = [result for result in results if result is not None]
    return len(kept) >= times and len({_said(result) for result in kept}) == 1


def _said(result: Mapping[str, Any]) -> str:
    calls = [{name: part for name, part in call.items() if name != "id"} for call in result.get("tool_calls") or ()]
    return json.dumps([result.get("text"), calls, result.get("embeddings")], sort_keys=True)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
