"""What a worker hands over to be written, and what the store answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from synthralos.domain.attempts import AttemptEnd
from synthralos.domain.budgets import NO_CHARGES, AtLimit, Charge
from synthralos.domain.deployments import Deployment
from synthralos.domain.events import Event
from synthralos.domain.evidence import Grounds
from synthralos.domain.findings import Verdict
from synthralos.domain.jobs import Job
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.prompts import ComparedPrompt
from synthralos.domain.repairs import NewRepair
from synthralos.domain.run_caps import RunCaps
from synthralos.domain.spans import Span
from synthralos.domain.states import Stage, State, Transition, target
from synthralos.domain.waits import NewWait


class Written(StrEnum):
    """What became of a fenced write. `claim_lost`: the job is not the worker's (any more); only the ledger changed."""

    DONE = "done"
    CLAIM_LOST = "claim_lost"


@dataclass(frozen=True, slots=True)
class Refused:
    """A start that was not written: `budget` names the budget that has no room for it. The claim still holds.

    `message`: what is said instead, where it was a cap of its run.
    `seconds` until its next period, None where there is none. `full`: what was spent leaves no room for the call; else
    it has only to wait for calls under way to be settled.
    """

    budget: str
    at_limit: AtLimit = AtLimit.DENY
    seconds: float | None = None
    full: bool = True
    why: str = "has no room for the call"
    message: str | None = None


StartResult = Written | Refused


@dataclass(slots=True)
class Start:
    """An attempt is about to begin. `reserved` is the most it is expected to cost, in USD.

    `grounds` are what the call is made under; None: they are not kept. `charges` are the budgets that have to have room
    for what is reserved. `credential` names the key that the call is made with. `caps` are those of its run.
    `detour`: the plan that this call alone goes by, and not the job; `grounds` name it.
    """

    job: Job
    attempt_no: int
    deployment: Deployment
    reserved: Decimal | None
    plan: RoutingPlan
    grounds: Grounds | None = None
    charges: tuple[Charge, ...] = NO_CHARGES
    credential: str | None = None
    caps: RunCaps | None = None
    detour: RoutingPlan | None = None


@dataclass(slots=True)
class Settlement:
    """What becomes of a job in its worker's hands.

    `stage` is where the job has work next, if it is not over; `delay` (seconds) belongs to `PARK`. `attempt`, a call to
    `deployment`, is booked whether or not the claim still holds. None leaves a stored value as it is. `exported`: the
    trace of a job that is analyzed is owed to the exporters. `compared`: its prompt was, and this is kept of it.
    `late`: what is learned besides of an earlier attempt, which was written off. `charged`: budgets hold something for
    the attempt. `wait`: what the job is parked for. `repair`: what StackStorm is asked for with it.
    """

    job: Job
    transition: Transition
    stage: Stage
    delay: float | None = None
    attempt: AttemptEnd | None = None
    deployment: Deployment | None = None
    plan: RoutingPlan | None = None
    verdict: Verdict | None = None
    failure: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None
    analyzed: bool = False
    exported: bool = True
    spans: Sequence[Span] = ()
    events: Sequence[Event] = ()
    compared: ComparedPrompt | None = None
    charged: bool = False
    wait: NewWait | None = None
    repair: NewRepair | None = None
    late: "Settlement | None" = None
    state: State = field(init=False)
    """The job's state afterwards."""

    def __post_init__(self) -> None:
        self.state = target(self.transition)
