"""A claimed job on its way through this process: what the stages found, and what is still to be written."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.heal.protocol import RouteAgain, Treatment, Wait
from synthralos.domain.deployments import Deployment
from synthralos.domain.events import Event
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Job
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.spans import Span
from synthralos.domain.states import Stage, Transition


@dataclass(slots=True)
class Ending:
    """How the job leaves this process: the transition, and the stage where it has work next."""

    transition: Transition
    stage: Stage
    delay: float | None = None
    failure: Failure | None = None
    result: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None


@dataclass(slots=True)
class Work:
    """One job in this process. At most one of `ending` and `failure` is set when it leaves the conveyor:

    `ending`: it was decided without a call. `failure`: heal has to look at it. Neither: it is ready to fly.
    `calling` is the deployment of the attempt that is booked and has not ended.
    """

    job: Job
    since: datetime
    spans: list[Span] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ending: Ending | None = None
    failure: Failure | None = None
    calling: Deployment | None = None

    @property
    def plan(self) -> RoutingPlan:
        """The routing plan; the job has been through route."""
        assert self.job.plan is not None
        return self.job.plan

    def span(self, name: str, now: datetime, *, ok: bool = True, **attributes: Any) -> None:
        """Close the step that began where the last one ended."""
        self.spans.append(Span(name, self.since, now, "ok" if ok else "error", attributes))
        self.since = now

    def take_spans(self) -> tuple[Span, ...]:
        """The spans that are not written yet; they are the caller's to write."""
        spans, self.spans = tuple(self.spans), []
        return spans

    def take_events(self) -> tuple[Event, ...]:
        """The events that are not written yet; they are the caller's to write."""
        events, self.events = tuple(self.events), []
        return events


def ending_of(treatment: Treatment, job: Job, failure: Failure) -> Ending:
    """Where heal's treatment of `failure` sends the job; not for `NextDeployment`, with which it stays here."""
    if isinstance(treatment, Wait):
        stage = job.stage if job.plan is None else Stage.EXECUTE
        return Ending(Transition.PARK, stage, delay=treatment.seconds, failure=failure)
    if isinstance(treatment, RouteAgain):
        constraints = job.constraints.to_json()
        constraints["exclude"] = sorted({*constraints["exclude"], *treatment.exclude})
        if treatment.seconds > 0:
            return Ending(Transition.PARK, Stage.ROUTE, treatment.seconds, failure, constraints=constraints)
        return Ending(Transition.HAND_OVER, Stage.ROUTE, failure=failure, constraints=constraints)
    return Ending(Transition.FAIL, Stage.ANALYZE, failure=failure)
