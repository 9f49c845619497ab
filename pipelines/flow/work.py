"""A job on its way through this process: what the stages found, and what is still to be written."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

from pipelines.flow.flights import Flight
from pipelines.flow.taps import Tap
from pipelines.heal.protocol import Ask, GiveUp, RouteAgain, Treatment, Wait
from pipelines.privacy.redaction import Redaction
from pipelines.tokens import prompt_size
from synthralos.config.key_sources import Key
from synthralos.domain.attempts import AttemptEnd
from synthralos.domain.deployments import Deployment
from synthralos.domain.events import Event
from synthralos.domain.failures import Failure, Rejected
from synthralos.domain.findings import Verdict
from synthralos.domain.jobs import Job
from synthralos.domain.money import ServiceTier
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.prompts import ComparedPrompt
from synthralos.domain.repairs import NewRepair, RepairState
from synthralos.domain.spans import Span
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.waits import NewWait


class Next(Enum):
    """What a job does after a step: another attempt follows in this process, or the job has left it."""

    AGAIN = auto()
    LEFT = auto()


@dataclass(slots=True)
class Ending:
    """How the job leaves this process: the transition, and the stage where it has work next.

    `wait`: what it is parked for; `repair`: what StackStorm is asked for, or might be.
    """

    transition: Transition
    stage: Stage
    delay: float | None = None
    failure: Failure | None = None
    result: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None
    wait: NewWait | None = None
    repair: NewRepair | None = None


@dataclass(slots=True)
class OpenAttempt:
    """An attempt that is booked and whose end is not written. `began` is by the monotonic clock.

    `charged`: budgets hold something for it. `key` is what it is made with. `lost`: it was written off, and its end is
    still to be learned. `spoke`: when the first delta of a streamed answer came, by the same clock.
    """

    number: int
    deployment: Deployment
    began: float
    end: AttemptEnd | None = None
    tap: Tap | None = None
    service_tier: ServiceTier = ServiceTier.STANDARD
    charged: bool = False
    key: Key | None = None
    lost: bool = False
    spoke: float | None = None


class Repair(NamedTuple):
    """What the next call says of the answer before; `tokens` is about what that adds to the prompt.

    `told` are the deployments that may hear it. `plan`: that call goes by it; None: it goes by the job's own.
    """

    told: frozenset[str]
    rejected: Rejected
    tokens: int
    plan: RoutingPlan | None = None


@dataclass(slots=True)
class Work:
    """One job in this process. At most one of `ending` and `failure` is set when it leaves the conveyor:

    `ending`: it was decided without a call. `failure`: heal has to look at it. Neither: it is ready for its call.
    `lane` is the one whose slot the job holds. `stored` are the plan and the verdict that are written already.
    `redaction` is what is sent instead of the request, once it was made; `compared` what is to be kept of the prompt.
    `refused` are the names of the keys with which a deployment refused it here. `alone`: it shares no call any more.
    `other` is the second of two calls of which one counts. `ticket`: what gates know its call by, where it is not the
    job's id. `repair`: the next call may say what was wrong. `flight`: equal jobs may wait for its answer.
    `home`: the plan that the job goes by, while its next call goes by a repair's own.
    """

    job: Job
    since: datetime
    spans: list[Span] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ending: Ending | None = None
    failure: Failure | None = None
    attempt: OpenAttempt | None = None
    lane: Lane = Lane.BULK
    stored: tuple[RoutingPlan | None, Verdict | None] = (None, None)
    redaction: Redaction | None = None
    compared: ComparedPrompt | None = None
    refused: set[tuple[str, str]] = field(default_factory=set)
    alone: bool = False
    flight: Flight | None = None
    repair: Repair | None = None
    other: OpenAttempt | None = None
    ticket: str = ""
    home: RoutingPlan | None = None
    _prompt_tokens: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """About the tokens of the prompt, measured when they are first asked for."""
        if self._prompt_tokens is None:
            self._prompt_tokens = prompt_size(self.job.request).estimate
        return self._prompt_tokens if self.repair is None else self._prompt_tokens + self.repair.tokens

    @property
    def key(self) -> tuple[str, int]:
        """(job id, claim number)."""
        return self.job.id, self.job.claim.claim_no

    @property
    def plan(self) -> RoutingPlan:
        """The routing plan; the job has been through route."""
        assert self.job.plan is not None
        return self.job.plan

    def span(self, name: str, now: datetime, *, ok: bool = True, **attributes: Any) -> None:
        """Close the step that began where the last one ended."""
        self.spans.append(Span(name, self.since, now, "ok" if ok else "error", attributes))
        self.since = now

    def written(self) -> None:
        """All that was found is written: the spans, the events, and the end of the attempt."""
        self.spans, self.events, self.attempt, self.other, self.compared = [], [], None, None, None


def ending_of(treatment: Treatment, job: Job, failure: Failure, now: datetime) -> Ending:
    """Where heal's treatment of `failure` sends the job; not for those with which it stays here."""
    if isinstance(treatment, Wait):
        stage = job.stage if job.plan is None else Stage.EXECUTE
        return Ending(Transition.PARK, stage, delay=treatment.seconds, failure=failure)
    if isinstance(treatment, RouteAgain):
        constraints = job.constraints.to_json()
        constraints["exclude"] = sorted({*constraints["exclude"], *treatment.exclude})
        if treatment.seconds > 0:
            return Ending(Transition.PARK, Stage.ROUTE, treatment.seconds, failure, constraints=constraints)
        return Ending(Transition.HAND_OVER, Stage.ROUTE, failure=failure, constraints=constraints)
    if isinstance(treatment, Ask):
        asked = job.constraints.to_json() | {"asked": sorted({*job.constraints.asked, failure.failure_class})}
        repair = _repair(treatment, failure, RepairState.ASKED, now)
        return Ending(
            Transition.PARK, Stage.HEAL, treatment.seconds, failure, constraints=asked, repair=repair
        )  # nothing else parks a job before heal: see `awaits_repair`
    proposed = treatment.proposed if isinstance(treatment, GiveUp) else None
    might = None if proposed is None else _repair(proposed, failure, RepairState.PROPOSED, now)
    return Ending(Transition.FAIL, Stage.ANALYZE, failure=failure, repair=might)


def _repair(ask: Ask, failure: Failure, state: RepairState, now: datetime) -> NewRepair:
    until = now + timedelta(seconds=ask.seconds)
    return NewRepair(ask.kind, ask.reason, failure.failure_class, until, ask.parameters, state)
