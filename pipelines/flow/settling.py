"""What is written about a job when it leaves this process, and how it is written when that fails.

A job must not stay with a worker that has forgotten it. So a settlement that cannot be written makes the job a dead
letter, first with all that belongs to it, then with less and less, at last with its id, fence and failure alone.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pipelines.analyze.stage import AnalyzeStage
from pipelines.execute.stage import cut_end
from pipelines.flow.stages import StagesNow
from pipelines.flow.work import Ending, OpenAttempt, Work
from synthralos.domain.attempts import AttemptEnd
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.flags import Flag
from synthralos.domain.states import TERMINAL, Stage, Transition, target
from synthralos.domain.writes import Settlement, Start, StartResult, Written
from synthralos.telemetry.context import about

log = logging.getLogger(__name__)

StartDone = Callable[[StartResult | Exception], None]
SettleDone = Callable[[Written | Exception], None]


class Writer(Protocol):
    """Where jobs are written: group commits of starts and settlements, on the event loop.

    What is submitted is durable when `done` is called, on the loop, with what the store answered or with the error.
    """

    def submit_start(self, start: Start, done: StartDone) -> None:
        """Book an attempt that is about to begin."""
        ...

    def submit_settlement(self, settlement: Settlement, done: SettleDone) -> None:
        """Write what becomes of a job."""
        ...

    async def start(self, start: Start) -> StartResult:
        """Book an attempt that is about to begin; returns when it is durable."""
        ...

    async def settle(self, settlement: Settlement) -> Written:
        """Write what becomes of a job; returns when it is durable."""
        ...


class Settling:
    """Makes settlements of what happened to jobs."""

    def __init__(
        self,
        serves: frozenset[Stage],
        analyze: AnalyzeStage,
        stages: StagesNow,
        writer: Writer,
        now: Callable[[], datetime],
    ) -> None:
        self._analyzes = Stage.ANALYZE in serves
        self._analyze = analyze
        self._stages = stages
        self._writer = writer
        self._now = now

    def submit(self, work: Work, ending: Ending, done: SettleDone) -> None:
        """Write how the job goes on; `written` has to be told of what `done` is told."""
        self._writer.submit_settlement(self.settlement(work, ending), done)

    async def settle(self, work: Work, ending: Ending) -> Written:
        """Write how the job goes on; returns when it is durable."""
        result = await self._writer.settle(self.settlement(work, ending))
        self.written(work, result)
        return result

    @staticmethod
    def written(work: Work, result: Written) -> None:
        """The settlement is written; the claim is held where the job goes on."""
        work.written()
        if result is Written.DONE:
            work.job.claim = work.job.claim.taken()
        if work.flight is not None:
            work.flight.written(held=result is Written.DONE)

    def settlement(self, work: Work, ending: Ending) -> Settlement:
        """All that is to be written of the job; an attempt that is still open is cut."""
        job, attempt, late = work.job, work.attempt, None
        if work.other is not None or (attempt is not None and attempt.lost):
            attempt, late = self._booked(work)
        state, (plan, verdict) = target(ending.transition), work.stored
        stages = self._stages()
        if state in TERMINAL and not job.attempts:
            stages.limiter.unused(stages.config, job)
        analyzed = self._analyzes and state in TERMINAL
        conclusion = [self._analyze.conclude(job, state, work.since, self._now())] if analyzed else []
        return Settlement(
            job,
            ending.transition,
            ending.stage,
            delay=ending.delay,
            attempt=None if attempt is None else attempt.end or cut_end(attempt.number, 0.0),
            deployment=None if attempt is None else attempt.deployment,
            plan=None if job.plan is plan else job.plan,
            verdict=None if job.verdict is verdict else job.verdict,
            failure=None if ending.failure is None else ending.failure.to_json(),
            result=ending.result,
            constraints=ending.constraints,
            analyzed=analyzed,
            exported=stages.config.flags.on(Flag.ENABLE_ASYNC_TRACE_EXPORT, job.tenant.organization),
            spans=[*work.spans, *conclusion],
            events=tuple(work.events),
            compared=work.compared,
            charged=attempt is not None and attempt.charged,
            wait=ending.wait,
            repair=ending.repair,
            late=late,
        )

    @staticmethod
    def _booked(work: Work) -> tuple[OpenAttempt | None, Settlement | None]:
        """Of two calls the one that the job's row has in flight, if any, and what is learned of the other one."""
        both = [each for each in (work.attempt, work.other) if each is not None]
        open_one = next((each for each in both if not each.lost), None)
        lost = next(each for each in both if each.lost)
        end = lost.end or cut_end(lost.number, 0.0)
        learned = Settlement(work.job, Transition.CONTINUE, Stage.EXECUTE, attempt=end, deployment=lost.deployment)
        return open_one, replace(learned, charged=lost.charged)

    async def bury(self, work: Work, error: Exception) -> None:
        """Make the job a dead letter because of a bug; without what it brought along, where that cannot be written.

        Where nothing at all can be written, the audit of the claims finds the job.
        """
        failure = Failure(FailureClass.INTERNAL, f"a bug in the worker: {type(error).__name__}")
        log.error("job %s becomes a dead letter by a bug", work.job.id, exc_info=error, extra=about(work.job))
        for settlement in self._ever_barer(work, failure):
            try:
                await self._writer.settle(settlement)
            except Exception as again:  # noqa: BLE001 - the edge of a job: it must not stay with a worker that forgot it
                why = type(again).__name__
                log.error("job %s cannot be written so: %s", work.job.id, why, extra=about(work.job))
            else:
                work.written()
                return
        log.critical("job %s cannot be written at all; the audit of the claims will give it back", work.job.id)

    def _ever_barer(self, work: Work, failure: Failure) -> Iterator[Settlement]:
        """The dead letter with everything, with the figures of its attempt, and with its failure alone."""
        attempt = work.attempt
        full = self.settlement(work, Ending(Transition.FAIL, Stage.ANALYZE, failure=failure))
        yield full
        bare = Settlement(work.job, Transition.FAIL, Stage.ANALYZE, failure=failure.to_json())
        if attempt is None:
            yield bare
            return
        bare = replace(bare, deployment=attempt.deployment, charged=attempt.charged)
        if attempt.end is not None:
            yield replace(bare, attempt=_figures(attempt.end))
        yield replace(bare, attempt=_nothing_known(attempt))


def _figures(end: AttemptEnd) -> AttemptEnd:
    """The end without the provider's words."""
    return replace(end, failure=None, provider_model=None, provider_request_id=None)


def _nothing_known(attempt: OpenAttempt) -> AttemptEnd:
    return cut_end(attempt.number, 0.0)
