"""A job's own way from the conveyor to where it leaves this process: start, call, heal, settle.

One coroutine per job. It writes at the points that matter: the attempt before the call, and everything that
follows from the answer in one transaction. Whatever it writes is fenced; when the claim is lost it stops.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pipelines.analyze.stage import AnalyzeStage
from pipelines.execute.stage import ExecuteStage, attempt_end, cut_end, result_json
from pipelines.flow.work import Ending, Work, ending_of
from pipelines.heal.protocol import Case, NextDeployment
from pipelines.heal.stage import HealStage
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import AttemptEnd, PastAttempt, Reply
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.events import Event
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.spans import root_span_id
from synthralos.domain.states import TERMINAL, Stage, Transition, target
from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written

log = logging.getLogger(__name__)

_CLOCKS_APART = 0.25
"""Seconds: a call that was cut at its job's deadline may come back a moment before it, by the database's clock."""

_SHORTEST_CALL = 0.01
"""Seconds that a call has at least."""

T = TypeVar("T")
Histories = Callable[[Sequence[str]], Awaitable[dict[str, list[PastAttempt]]]]


class Writer(Protocol):
    """Where a journey writes: group commits of starts and settlements."""

    async def start(self, start: Start) -> StartResult:
        """Durable when it returns."""
        ...

    async def settle(self, settlement: Settlement) -> Written:
        """Durable when it returns."""
        ...


class _Passage:
    """One journey's task, and whether it was told to stop: at once where it waits, else before it waits again."""

    __slots__ = ("is_cut", "task", "waits")

    def __init__(self, task: "asyncio.Task[None] | None") -> None:
        assert task is not None
        self.task = task
        self.waits = self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        if self.waits:
            self.task.cancel()


class JobRunner:
    """Everything that the journeys of one process share."""

    def __init__(
        self,
        serves: frozenset[Stage],
        catalog: Catalog,
        execute: ExecuteStage,
        heal: HealStage,
        analyze: AnalyzeStage,
        books: Writer,
        histories: Histories,
        now: Callable[[], datetime],
        call_timeout: float,
    ) -> None:
        """`call_timeout` in seconds bounds every call, besides the deployment's own and the job's deadline."""
        self._serves = serves
        self._catalog = catalog
        self._execute = execute
        self._heal = heal
        self._analyze = analyze
        self._books = books
        self._histories = histories
        self._now = now
        self._call_timeout = call_timeout
        self._berths: dict[str, asyncio.Semaphore] = {}
        self._passages: dict[tuple[str, int], _Passage] = {}

    async def travel(self, work: Work) -> None:
        """Bring one job to where it leaves this process.

        A bug on the way makes it a dead letter, with what was in flight on the books: a job must not stay with a
        worker that has forgotten it.
        """
        key = (work.job.id, work.job.claim.claim_no)
        self._passages[key] = _Passage(asyncio.current_task())
        try:
            await self._travel(work)
        except Exception as error:  # the edge of a journey
            log.exception("job %s became a dead letter by a bug", work.job.id)
            await self._bury(work, Failure(FailureClass.INTERNAL, f"a bug in the worker: {type(error).__name__}"))
        finally:
            del self._passages[key]

    async def _bury(self, work: Work, failure: Failure) -> None:
        """Make the job a dead letter; without all that it brought along, where that is what cannot be written."""
        end, deployment = self._cut_short(work)
        ending = Ending(Transition.FAIL, Stage.ANALYZE, failure=failure)
        try:
            await self._settle(work, ending, end, deployment)
        except Exception as error:  # noqa: BLE001 - the edge of a journey: the job must not stay with a worker that forgot it
            log.error("job %s is settled bare: %s", work.job.id, type(error).__name__)
            bare = Settlement(
                work.job, ending.transition, ending.stage, attempt=end, deployment=deployment, failure=failure.to_json()
            )
            await self._books.settle(bare)

    async def _travel(self, work: Work) -> None:
        if work.ending is not None:
            await self._settle(work, work.ending)
            return
        if work.failure is not None and not await self._treat(work, work.failure):
            return
        while await self._attempt(work):
            pass

    def under_way(self) -> list[tuple[str, int]]:
        """(job id, claim number) of the jobs that have not left this process."""
        return list(self._passages)

    def cut(self, keys: Sequence[tuple[str, int]]) -> None:
        """Cut the calls of jobs, also those that are about to be made; what they may have cost is booked."""
        for key in keys:
            if (passage := self._passages.get(key)) is not None:
                passage.cut()

    def release_all(self) -> None:
        """Give the jobs that wait for an answer, or still need one, back: other workers will take them."""
        self.cut(self.under_way())

    async def _attempt(self, work: Work) -> bool:
        """One attempt at the plan's current step; whether another one follows at once."""
        step = work.plan.current
        deployment = None if step is None else self._catalog.get(step.deployment)
        if step is None or deployment is None:
            gone = "the plan is used up" if step is None else f"{step.deployment} is no longer in the catalog"
            return await self._treat(work, Failure(FailureClass.INTERNAL, gone))
        try:
            berth = await self._cut_point(work, lambda: self._berth(work, deployment))
        except asyncio.CancelledError:
            await self._settle(work, Ending(Transition.RELEASE, work.job.stage))
            return False
        except TimeoutError:
            await self._settle(work, Ending(Transition.EXPIRE, Stage.ANALYZE))
            return False
        try:
            return await self._fly(work, deployment)
        finally:
            berth.release()

    async def _fly(self, work: Work, deployment: Deployment) -> bool:
        job, step = work.job, work.plan.current
        assert step is not None
        if self._seconds_left(work) <= 0:
            await self._settle(work, Ending(Transition.EXPIRE, Stage.ANALYZE))
            return False
        attempt_no = job.attempts + 1
        started = await self._books.start(Start(job, attempt_no, deployment, step.estimated_cost, work.plan))
        if isinstance(started, Refused):
            return await self._treat(work, Failure(FailureClass.BUDGET, f"no room in the budget {started.budget}"))
        if started is not Written.DONE:
            return False
        job.claim, job.attempts, job.stage = job.claim.taken(), attempt_no, Stage.EXECUTE
        work.calling = deployment
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            answer = await self._cut_point(work, lambda: self._execute.call(self._call(work, deployment)))
        except asyncio.CancelledError:
            end = cut_end(attempt_no, loop.time() - began)
            await self._settle(work, Ending(Transition.RELEASE, Stage.EXECUTE), end, deployment)
            return False
        end = attempt_end(attempt_no, deployment, answer, loop.time() - began)
        return await self._conclude(work, deployment, answer, end)

    async def _conclude(self, work: Work, deployment: Deployment, answer: Reply | Failure, end: AttemptEnd) -> bool:
        now = self._now()
        ok = isinstance(answer, Reply)
        work.span("execute", now, ok=ok, deployment=deployment.id, attempt=end.attempt_no)
        if isinstance(answer, Reply):
            ending = Ending(Transition.SUCCEED, Stage.ANALYZE, result=result_json(deployment, answer))
            await self._settle(work, ending, end, deployment)
            return False
        if self._seconds_left(work) <= _CLOCKS_APART:
            await self._settle(work, Ending(Transition.EXPIRE, Stage.ANALYZE, failure=answer), end, deployment)
            return False
        return await self._treat(work, answer, end, deployment)

    async def _treat(
        self, work: Work, failure: Failure, end: AttemptEnd | None = None, deployment: Deployment | None = None
    ) -> bool:
        """What to do about a failure: True to go on with the plan's (new) current step in this process."""
        job = work.job
        if Stage.HEAL not in self._serves:
            await self._settle(work, Ending(Transition.HAND_OVER, Stage.HEAL, failure=failure), end, deployment)
            return False
        history = (await self._histories([job.id]))[job.id]
        if end is not None and deployment is not None:
            history = [*history, PastAttempt(end.attempt_no, deployment.id, end.outcome, failure, work.since)]
        now = self._now()
        [(remedy, treatment)] = self._heal.treat([Case(job, failure, history, now)])
        named: dict[str, Any] = {"remedy": remedy, "treatment": type(treatment).__name__, "reason": treatment.reason}
        work.span("heal", self._now(), failure=failure.failure_class, **named)
        work.events.append(Event("healed", "heal", {**named, "failure": failure.to_json()}))
        if isinstance(treatment, NextDeployment):
            return await self._go_on(work, treatment, end, deployment)
        await self._settle(work, ending_of(treatment, work.job, failure), end, deployment)
        return False

    async def _go_on(
        self, work: Work, treatment: NextDeployment, end: AttemptEnd | None, deployment: Deployment | None
    ) -> bool:
        work.job.plan = work.plan.at(treatment.cursor)
        if Stage.EXECUTE not in self._serves:
            await self._settle(work, Ending(Transition.HAND_OVER, Stage.EXECUTE), end, deployment)
            return False
        if end is None:
            work.job.stage = Stage.EXECUTE
            return True
        return await self._settle(work, Ending(Transition.CONTINUE, Stage.EXECUTE), end, deployment)

    @staticmethod
    def _cut_short(work: Work) -> tuple[AttemptEnd | None, Deployment | None]:
        """The end of the attempt that is still open, if one is."""
        return (None, None) if work.calling is None else (cut_end(work.job.attempts, 0.0), work.calling)

    async def _settle(
        self, work: Work, ending: Ending, end: AttemptEnd | None = None, deployment: Deployment | None = None
    ) -> bool:
        """Write how the job goes on; False where the claim was lost and only the ledger has changed."""
        job = work.job
        analyzed = target(ending.transition) in TERMINAL and Stage.ANALYZE in self._serves
        if analyzed:
            work.spans.append(self._analyze.conclude(job, target(ending.transition), work.since, self._now()))
        settlement = Settlement(
            job,
            ending.transition,
            ending.stage,
            delay=ending.delay,
            attempt=end,
            deployment=deployment,
            plan=job.plan,
            verdict=job.verdict,
            failure=None if ending.failure is None else ending.failure.to_json(),
            result=ending.result,
            constraints=ending.constraints,
            analyzed=analyzed,
            spans=work.take_spans(),
            events=work.take_events(),
        )
        settled = await self._books.settle(settlement)
        if end is not None:
            work.calling = None
        return settled is Written.DONE

    async def _berth(self, work: Work, deployment: Deployment) -> asyncio.Semaphore:
        """Wait until this process may have one more call in flight at the deployment, or for `TimeoutError`."""
        berth = self._berths.get(deployment.id)
        if berth is None:
            berth = self._berths[deployment.id] = asyncio.Semaphore(deployment.max_in_flight)
        async with asyncio.timeout(None if work.job.deadline is None else self._seconds_left(work)):
            await berth.acquire()
        return berth

    async def _cut_point(self, work: Work, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for something that `cut` may interrupt; nothing else of a journey can be interrupted."""
        passage = self._passages[work.job.id, work.job.claim.claim_no]
        if passage.is_cut:
            raise asyncio.CancelledError
        passage.waits = True
        try:
            return await wait()
        finally:
            passage.waits = False

    def _call(self, work: Work, deployment: Deployment) -> Call:
        job = work.job
        # A deadline that passed while the attempt was booked: to HTTP clients, a timeout of 0 is none at all.
        timeout = max(_SHORTEST_CALL, min(self._call_timeout, deployment.timeout, self._seconds_left(work)))
        traceparent = f"00-{job.trace_id}-{root_span_id(job.id)}-01"
        return Call(job.id, job.attempts, deployment, job.request, timeout, traceparent)

    def _seconds_left(self, work: Work) -> float:
        deadline = work.job.deadline
        return float("inf") if deadline is None else (deadline - self._now()).total_seconds()
