"""The conveyor: carries a batch of jobs through the stages that this process serves, without a message between.

It claims a batch and runs guard and route on it in the caller's thread, because those work on whole batches.
From there each job goes its own way, on the event loop (`pipelines.flow.runner`). Nothing is written in between:
the claim in the database keeps the jobs safe, and a stage that is run again decides again.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from pipelines.flow.registry import Registry
from pipelines.flow.ruling import denied_for_good
from pipelines.flow.slots import Lease, Slots
from pipelines.flow.stages import Stages, StagesNow
from pipelines.flow.waiting import opened_event, wait_of, waiting
from pipelines.flow.work import Ending, Work
from pipelines.repeats.memory import PromptMemory
from pipelines.route.stage import RouteStage
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.jobs import Claim, Job
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane, Stage, Transition

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where the jobs come from; see `workers.taking`."""

    def take(self, stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
        """The jobs that were got for this worker. Those that were lost before are held."""
        ...

    def hold(self, stage: Stage, job_ids: Sequence[str]) -> dict[str, Claim]:
        """Claim jobs anew that were let go: the claims that this worker got."""
        ...

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """Hold these jobs no longer."""
        ...


_SHARED = (Stage.GUARD, Stage.ROUTE)
"""Stages that see a whole batch at once: a job that kills its worker there would be lost with all the others."""

_LEAST_DEFER = 0.02
"""Seconds: a job that is put off for no time at all would keep the worker busy."""

Launch = Callable[[Sequence[Work]], None]

TurnAway = Callable[[Stage, Lane, Sequence[str]], None]
"""Told of queued jobs for which this process had no slots in time: others, or later, may have some."""


class Conveyor:
    """The batch half of a job's way: take, guard, route. Thread-safe."""

    def __init__(
        self,
        serves: frozenset[Stage],
        source: Source,
        stages: StagesNow,
        slots: Slots,
        registry: Registry,
        launch: Launch,
        turn_away: TurnAway,
        now: Callable[[], datetime],
        slot_timeout: float,
    ) -> None:
        """`launch` lets works go on, on the event loop; `now` is the database's clock.

        A message waits for slots `slot_timeout` seconds at most; what found none is told to `turn_away`.
        """
        self._serves = serves
        self._source = source
        self._stages = stages
        self._slots = slots
        self._registry = registry
        self._launch = launch
        self._turn_away = turn_away
        self._now = now
        self._slot_timeout = slot_timeout

    def carry(self, stage: Stage, job_ids: Sequence[str], *, doubtful: bool = False, lane: Lane = Lane.BULK) -> int:
        """Bring those of `job_ids` that are queued at `stage` on their way; how many there were.

        Waits while too many jobs are under way in this process. `doubtful`: a worker may have died of these jobs.
        """
        carried = begin = 0
        while begin < len(job_ids):
            part = job_ids[begin : begin + self._slots.most(lane)]
            lease = self._lease(stage, lane, len(part))
            if lease is None:
                self._turn_away(stage, lane, job_ids[begin:])
                break
            carried += self._carry(stage, part, doubtful, lease)
            begin += len(part)
        return carried

    def _lease(self, stage: Stage, lane: Lane, count: int) -> Lease | None:
        """Slots for a batch. Heal does not wait: most of its jobs leave again without a call."""
        if stage is Stage.HEAL:
            return self._slots.overdraw(lane, count)
        return self._slots.acquire(lane, count, self._slot_timeout)

    def _carry(self, stage: Stage, job_ids: Sequence[str], doubtful: bool, lease: Lease) -> int:
        try:
            jobs = self._source.take(stage, job_ids, doubtful)
            works = [Work(job, self._now(), lane=lease.lane, stored=(None, job.verdict)) for job in jobs]
            self._registry.taken(works)
            lease.keep([job.size for job in jobs])
        finally:
            lease.give_back()
        try:
            self._run_stages(stage, works)
            if works:
                self._launch(works)
        except BaseException:
            self._drop(works)
            raise
        return len(works)

    def _run_stages(self, stage: Stage, works: list[Work]) -> None:
        lost = [work for work in works if work.job.losses] if stage in _SHARED else []
        if len(lost) <= 1:
            self._run_safely(stage, works)
            return
        self._run_safely(stage, [work for work in works if not work.job.losses])
        gone = self._run_apart(stage, lost)
        works[:] = [work for work in works if work.job.id not in gone]

    def _run_apart(self, stage: Stage, works: Sequence[Work]) -> set[str]:
        """Hold each job alone while it is in the stages, so that one that kills this worker there is lost alone.

        Afterwards all are held again. The ids of those that somebody else has taken meanwhile.
        """
        gone: set[str] = set()
        self._let_go(works)
        for work in works:
            gone |= self._hold(stage, [work])
            if work.job.id not in gone:
                self._run_safely(stage, [work])
                self._let_go([work])
        return gone | self._hold(stage, [work for work in works if work.job.id not in gone])

    def _let_go(self, works: Sequence[Work]) -> None:
        self._registry.dropped(works)
        self._source.let_go([(work.job.id, work.job.claim) for work in works])

    def _hold(self, stage: Stage, works: Sequence[Work]) -> set[str]:
        """Hold these jobs again; the ids of those that could not be had any more, whose slots are given back."""
        claims = self._source.hold(stage, [work.job.id for work in works])
        gone = [work for work in works if work.job.id not in claims]
        for work in gone:
            self._slots.release(work.lane, 1, work.job.size)
        held = [work for work in works if work.job.id in claims]
        for work in held:
            work.job.claim = claims[work.job.id]
        self._registry.taken(held)
        return {work.job.id for work in gone}

    def _drop(self, works: Sequence[Work]) -> None:
        """This thread was interrupted: the audit of the claims will give the jobs back."""
        self._registry.dropped(works)
        for work in works:
            self._slots.release(work.lane, 1, work.job.size)

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
        stages = self._stages()
        if stage is Stage.GUARD:
            works = self._through_guard(stages, works)
            stage = self._next(Stage.ROUTE, works)
        if stage is Stage.ROUTE:
            works = self._through_route(stages.route, [w for w in works if w.ending is None])
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

    def _through_guard(self, stages: Stages, works: list[Work]) -> list[Work]:
        jobs = [work.job for work in works]
        verdicts = stages.guard.inspect(jobs)
        now = self._now()
        verdicts = list(map(waiting, jobs, stages.rulings.rule(jobs, verdicts, now)))
        for work, verdict in zip(works, verdicts, strict=True):
            work.job.verdict = verdict
            passed = verdict.goes_on
            told = {} if passed else {"reason": verdict.reason}
            work.span("guard", now, ok=passed, decision=verdict.decision, findings=len(verdict.findings), **told)
            work.ending = None if passed else self._stop(work, verdict, now)
            if stages.memory is not None:
                _remember(stages.memory, work, verdict)
        return [work for work in works if work.ending is None]

    @staticmethod
    def _stop(work: Work, verdict: Verdict, now: datetime) -> Ending:
        wait = wait_of(verdict, now)
        if wait is None:
            return _stopped(verdict)
        work.events.append(opened_event(wait))
        return Ending(Transition.PARK, Stage.GUARD, delay=wait.seconds, wait=wait)

    def _through_route(self, route: RouteStage, works: list[Work]) -> list[Work]:
        outcomes = route.plan([work.job for work in works])
        now = self._now()
        for work, outcome in zip(works, outcomes, strict=True):
            if isinstance(outcome, RoutingPlan):
                work.job.plan = outcome
                work.span("route", now, strategy=outcome.strategy, deployment=outcome.steps[0].deployment)
            elif (denied := denied_for_good(route, work.job, outcome)) is not None:
                work.job.verdict, work.ending = denied, _stopped(denied)
                work.span("route", now, ok=False, decision=denied.decision, reason=denied.reason)
            else:
                work.failure = outcome
                work.span("route", now, ok=False, failure=outcome.failure_class)
        return works


def _remember(memory: PromptMemory, work: Work, verdict: Verdict) -> None:
    """What is kept of the prompt; and the end of a job that an earlier result answers."""
    work.compared = memory.compared(work.job.id)
    if verdict.decision is Decision.REUSE:
        result = memory.reused(work.job.id)
        if result is None:  # crowded out by others: it is looked for again
            work.ending = Ending(Transition.PARK, Stage.GUARD, delay=_LEAST_DEFER)
        else:
            work.ending = Ending(Transition.REUSE, Stage.ANALYZE, result=result)


def _stopped(verdict: Verdict) -> Ending:
    if verdict.decision is Decision.DEFER:
        return Ending(Transition.PARK, Stage.GUARD, delay=max(verdict.defer_seconds, _LEAST_DEFER))
    return Ending(Transition.DENY, Stage.ANALYZE)


def _stored_failure(job: Job) -> Failure:
    if job.failure is None:
        return Failure(FailureClass.INTERNAL, "the job was sent to heal without a failure")
    return Failure.from_json(job.failure)
