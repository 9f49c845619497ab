"""Repairs by StackStorm: what is asked of it for a job or an incident, and what became of that. Moves are a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from synthralos.domain.ids import new_id
from synthralos.domain.states import Stage, State

PACK = "synthralos"

STACKSTORM = "stackstorm"
"""The name of the link: of its breaker, and of who acts where StackStorm's answer moves a job."""


class RepairKind(StrEnum):
    """What is asked for."""

    RETRY = "retry"
    REROUTE = "reroute"
    RECOVER = "recover"
    INCIDENT = "incident"


OF_JOBS = (RepairKind.RETRY, RepairKind.REROUTE, RepairKind.RECOVER)
"""What may be asked for a job. A repair of the other kind is an incident's, and has that incident's id."""

WORKFLOWS: Mapping[RepairKind, str] = {
    RepairKind.RETRY: f"{PACK}.llm_retry",
    RepairKind.REROUTE: f"{PACK}.reroute_request",
    RepairKind.RECOVER: f"{PACK}.agent_recovery",
    RepairKind.INCIDENT: f"{PACK}.incident_repair",
}
"""The action of StackStorm that is executed."""


class RepairState(StrEnum):
    """`proposed`: StackStorm may not execute it; people may ask for it. `fell_back`: the built-in remedies went on."""

    PROPOSED = "proposed"
    ASKED = "asked"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FELL_BACK = "fell_back"
    CANCELLED = "cancelled"


OPEN_REPAIRS = frozenset({RepairState.ASKED, RepairState.STARTED})

MOVES: Mapping[RepairState, frozenset[RepairState]] = {
    RepairState.ASKED: frozenset(
        {RepairState.STARTED, RepairState.FELL_BACK, RepairState.FAILED, RepairState.CANCELLED}
    ),
    RepairState.STARTED: frozenset(
        {RepairState.SUCCEEDED, RepairState.FAILED, RepairState.FELL_BACK, RepairState.CANCELLED}
    ),
}
"""Where a repair may go; what has ended stays as it is."""

MOST_REASON = 500


@dataclass(frozen=True, slots=True)
class NewRepair:
    """A repair that is about to be booked with what parks its job, or, `proposed`, with what ends it.

    `parameters` are the workflow's, without the repair's id. `until`: when the job goes on by itself.
    """

    kind: RepairKind
    reason: str
    failure_class: str
    until: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: RepairState = RepairState.ASKED
    id: str = field(default_factory=new_id)

    @property
    def workflow(self) -> str:
        """The action of StackStorm."""
        return WORKFLOWS[self.kind]


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair as it is stored.

    `subject` is `job:` or `incident:` and an id. `asked_by` is `heal`, `monitor`, or who asked. `until`: when its job
    goes on by itself, or its incident is taken to people. `acted_at`: when its workflow moved the job, which it may
    once, or reported that it did something about the incident. `result`: what the workflow answered.
    """

    id: str
    organization: str
    workspace: str
    user: str | None
    job_id: str | None
    run_id: str | None
    subject: str
    kind: RepairKind
    workflow: str
    parameters: Mapping[str, Any]
    reason: str
    failure_class: str
    state: RepairState
    asked_by: str
    execution_id: str | None
    asked_at: datetime
    until: datetime
    started_at: datetime | None
    acted_at: datetime | None
    ended_at: datetime | None
    outcome: str
    result: Mapping[str, Any] | None

    @property
    def tag(self) -> str:
        """What StackStorm knows the repair by: the same each time, so that it is never started twice."""
        return f"{PACK}-repair-{self.id}"

    @property
    def sent(self) -> dict[str, Any]:
        """The workflow's parameters."""
        return {**self.parameters, "repair_id": self.id, "reason": f"repair {self.id}: {self.reason}"[:MOST_REASON]}


class IncidentAct(StrEnum):
    """What the workflow `incident_repair` does about an incident."""

    DIAGNOSE = "diagnose"
    PAUSE_DEPLOYMENT = "pause_deployment"
    RESET_BREAKER = "reset_breaker"
    REROUTE_DEAD_LETTERS = "reroute_dead_letters"


class Reported(StrEnum):
    """What a workflow reports of an incident: `acted`: whether that helps is watched; else people are told."""

    ACTED = "acted"
    NOTHING_TO_DO = "nothing_to_do"
    FAILED = "failed"


def awaits_repair(state: str | None, stage: str | None) -> bool:
    """Whether a job is parked for a repair: nothing else parks a job before heal."""
    return state == State.PARKED and stage == Stage.HEAL
