"""The conveyor: carries a batch of jobs through the stages that this process serves, without a message between.

It claims a batch and runs guard and route on it in the caller's thread, because those work on whole batches.
From there each job goes its own way, on the event loop (`pipelines.flow.runner`). Nothing is written in between:
the claim in the database keeps the jobs safe, and a stage that is run again decides again.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from pipelines.flow.work import Ending, Work
from pipelines.guard.stage import GuardStage
from pipelines.route.stage import RouteStage
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.jobs import Job
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Stage, Transition


class InFlight(Protocol):
    """Where jobs go on from the conveyor: a bounded number of them at a time."""

    @property
    def seats(self) -> int:
        """How many there are: no more can board at once."""
        ...

    def board(self, seats: int) -> bool:
        """Wait for free seats and take them; False when this process is shutting down."""
        ...

    def vacate(self, seats: int) -> None:
        """Give back seats that were not used."""
        ...

    def depart(self, works: Sequence[Work]) -> None:
        """Let the jobs go on; each gives its seat back when it has left this process."""
        ...


log = logging.getLogger(__name__)

Claim = Callable[[Stage, Sequence[str]], list[Job]]


class Conveyor:
    """The batch half of a job's way: claim, guard, route."""

    def __init__(
        self,
        serves: frozenset[Stage],
        claim: Claim,
        guard: GuardStage,
        route: RouteStage,
        flight: InFlight,
        now: Callable[[], datetime],
    ) -> None:
        """`claim` takes the queued jobs among the given ids; `now` is the database's clock."""
        self._serves = serves
        self._claim = claim
        self._guard = guard
        self._route = route
        self._flight = flight
        self._now = now

    def carry(self, stage: Stage, job_ids: Sequence[str]) -> int:
        """Bring those of `job_ids` that are queued at `stage` on their way; how many there were.

        Waits while too many jobs are under way in this process: what it does not take, others may.
        """
        parts = [job_ids[i : i + self._flight.seats] for i in range(0, len(job_ids), self._flight.seats)]
        return sum(self._carry(stage, part) for part in parts)

    def _carry(self, stage: Stage, job_ids: Sequence[str]) -> int:
        if not self._flight.board(len(job_ids)):
            return 0
        seats = len(job_ids)
        try:
            jobs = self._claim(stage, job_ids)
            works = [Work(job, self._now()) for job in jobs]
            self._run_safely(stage, works)
            self._flight.depart(works)
            seats -= len(works)
        finally:
            self._flight.vacate(seats)
        return len(works)

    def _run_safely(self, stage: Stage, works: list[Work]) -> None:
        """A bug in a stage is a failure of its jobs, for heal to look at: they must not stay claimed and forgotten."""
        try:
            self._run(stage, works)
        except Exception as error:  # the edge of a batch
            log.exception("a bug in the stages failed %d jobs", len(works))
            for work in works:
                if work.ending is None:
                    work.failure = Failure(FailureClass.INTERNAL, f"a bug in a stage: {type(error).__name__}")

    def _run(self, stage: Stage, works: list[Work]) -> None:
        if stage is Stage.GUARD:
            works = self._through_guard(works)
            stage = self._next(Stage.ROUTE, works)
        if stage is Stage.ROUTE:
            works = self._through_route([w for w in works if w.ending is None])
            stage = self._next(Stage.EXECUTE, works)
        if stage is Stage.HEAL:
            for work in works:
                work.failure = _stored_failure(work.job)

    def _next(self, stage: Stage, works: list[Work]) -> Stage:
        """Go on to `stage`; where this process does not serve it, the jobs leave for those that do."""
        if stage not in self._serves:
            for work in works:
                if work.ending is None and work.failure is None:
                    work.ending = Ending(Transition.HAND_OVER, stage)
        return stage

    def _through_guard(self, works: list[Work]) -> list[Work]:
        verdicts = self._guard.inspect([work.job for work in works])
        now = self._now()
        for work, verdict in zip(works, verdicts, strict=True):
            work.job.verdict = verdict
            passed = verdict.decision in (Decision.ALLOW, Decision.FLAG)
            work.span("guard", now, ok=passed, decision=verdict.decision, findings=len(verdict.findings))
            work.ending = None if passed else _refusal(verdict)
        return [work for work in works if work.ending is None]

    def _through_route(self, works: list[Work]) -> list[Work]:
        outcomes = self._route.plan([work.job for work in works])
        now = self._now()
        for work, outcome in zip(works, outcomes, strict=True):
            if isinstance(outcome, RoutingPlan):
                work.job.plan = outcome
                work.span("route", now, strategy=outcome.strategy, deployment=outcome.steps[0].deployment)
            else:
                work.failure = outcome
                work.span("route", now, ok=False, failure=outcome.failure_class)
        return works


def _refusal(verdict: Verdict) -> Ending:
    if verdict.decision is Decision.DEFER:
        return Ending(Transition.PARK, Stage.GUARD, delay=verdict.defer_seconds)
    return Ending(Transition.DENY, Stage.ANALYZE)


def _stored_failure(job: Job) -> Failure:
    if job.failure is None:
        return Failure(FailureClass.INTERNAL, "the job was sent to heal without a failure")
    return Failure.from_json(job.failure)
