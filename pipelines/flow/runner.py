"""A job's own coroutine, for what is not the happy path: heal, another attempt, waiting for a slot, a failed write.

It writes at the points that matter: the attempt before the call, and everything that follows from the answer in one
transaction. Whatever it writes is fenced; when the claim is lost it stops.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from pipelines.flow.calls import CLOCKS_APART, Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.heal_events import asked, healed
from pipelines.flow.hedging import Hedger
from pipelines.flow.refusals import failure_of, pause, seconds_to_wait
from pipelines.flow.registry import Registry, RunningJob
from pipelines.flow.seeking import SlotSeeker, interruptible
from pipelines.flow.settling import Settling, Writer
from pipelines.flow.single_flight import SingleFlight, reuse_finding
from pipelines.flow.stages import StagesNow
from pipelines.flow.telling import told_before_it_broke
from pipelines.flow.work import Ending, Next, Work, ending_of
from pipelines.heal.protocol import AskAgain, Case, NextDeployment, NextKey
from synthralos.domain.attempts import PastAttempt, Reply
from synthralos.domain.budgets import AtLimit
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.findings import with_finding
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Refused, Written
from synthralos.telemetry.context import Facts, about, begin

log = logging.getLogger(__name__)

Histories = Callable[[Sequence[str]], Awaitable[dict[str, list[PastAttempt]]]]


class JobRunner:
    """Runs jobs one by one. Lives on the event loop."""

    def __init__(
        self,
        serves: frozenset[Stage],
        calls: Calls,
        settling: Settling,
        writer: Writer,
        registry: Registry,
        deployments: DeploymentSlots,
        gates: Gates,
        stages: StagesNow,
        histories: Histories,
        now: Callable[[], datetime],
        deployment_wait: float,
        single: SingleFlight,
        hedger: Hedger,
    ) -> None:
        """`deployment_wait`: seconds that a job waits for a slot of its deployment before it is parked."""
        self._single, self._hedger = single, hedger
        self._serves = serves
        self._calls = calls
        self._settling = settling
        self._writer = writer
        self._registry = registry
        self._deployments = deployments
        self._seeker = SlotSeeker(calls, registry, deployments, gates, deployment_wait)
        self._gates = gates
        self._stages = stages
        self._histories = histories
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    def take_over(self, running: RunningJob, error: Exception | None = None) -> None:
        """Let the job go on in a coroutine of its own, from what its work says; bury it where a bug is given."""
        work = running.work
        todo = self.run(running) if error is None else self._leave_after(running, self._settling.bury(work, error))
        task = asyncio.get_running_loop().create_task(todo)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, running: RunningJob) -> None:
        """Bring the job to where it leaves this process.

        A bug on the way makes it a dead letter, with what was in flight in the ledger.
        """
        await self._leave_after(running, self._run_safely(running))

    async def _leave_after(self, running: RunningJob, last: Awaitable[None]) -> None:
        begin(Facts(**about(running.work.job)))
        try:
            await last
        finally:
            self._gates.unused(running.work.job.id)
            self._registry.leave(running)

    async def _run_safely(self, running: RunningJob) -> None:
        try:
            while await self._step(running) is Next.AGAIN:
                pass
        except Exception as error:  # noqa: BLE001 - the edge of a job; `bury` logs it
            await self._settling.bury(running.work, error)

    async def _step(self, running: RunningJob) -> Next:
        work = running.work
        if work.ending is not None:
            return await self._leave(work, work.ending)
        if work.failure is None:
            return await self._attempt(running)
        failure, work.failure = work.failure, None
        if work.attempt is not None and self._calls.seconds_left(work) <= CLOCKS_APART:
            return await self._leave(work, Ending(Transition.EXPIRE, Stage.ANALYZE, failure=failure))
        return await self._heal_job(work, failure)

    async def _leave(self, work: Work, ending: Ending) -> Next:
        await self._settling.settle(work, ending)
        return Next.LEFT

    async def _release(self, work: Work) -> Next:
        """Give the job back. One that was only read is still queued."""
        if not work.job.claim.held:
            return Next.LEFT
        return await self._leave(work, Ending(Transition.RELEASE, work.job.stage))

    async def _attempt(self, running: RunningJob) -> Next:
        """One attempt at the plan's current step, or at the next one whose deployment has a slot."""
        work = running.work
        if (
            work.job.constraints.coalesce == "allow"
            and (left := await self._answered_with_another(running)) is not None
        ):
            return left
        if not self._calls.admit(work):
            return await self._shut_off(work)
        found = self._calls.target(work)
        if isinstance(found, Failure):
            self._gates.unused(work.job.id)
            work.failure = found
            return Next.AGAIN
        _, wanted = found
        try:
            deployment = await self._seeker.slot(running, wanted)
        except asyncio.CancelledError:
            return await self._release(work)
        if deployment is None:
            return await self._come_back(work)
        try:
            ending = await self._call_in_turn(running, deployment)
        finally:
            self._deployments.release(deployment)
        return ending if isinstance(ending, Next) else await self._leave(work, ending)

    async def _answered_with_another(self, running: RunningJob) -> Next | None:
        """Wait for the answer to an equal request in flight, if there is one; None: the job makes its own call."""
        work = running.work
        try:
            answer = await interruptible(running, lambda: self._single.answer(work, self._calls.seconds_left(work)))
        except asyncio.CancelledError:
            return await self._release(work)
        if answer is None:
            return None
        finding = reuse_finding(answer)
        work.job.verdict = with_finding(work.job.verdict, finding)
        work.span("coalesced", self._now(), reused_from=answer.job_id)
        return await self._leave(work, Ending(Transition.REUSE, Stage.ANALYZE, result=answer.reused()))

    async def _call_in_turn(self, running: RunningJob, deployment: Deployment) -> Next | Ending:
        """The call at `deployment`, when its quota lets the job make it; see `_call_deployment`."""
        work = running.work
        try:
            if await interruptible(running, lambda: self._gates.wait(work, deployment)):
                return await self._call_deployment(running)
        except asyncio.CancelledError:
            return await self._release(work)
        # The plan may have another deployment; where the turn did not come in time, the next look is not at once.
        if self._gates.admits_another(work, deployment):
            return Next.AGAIN
        return await self._shut_off(work)

    async def _shut_off(self, work: Work) -> Next:
        """Breakers and quotas shut all of the plan's deployments off: the job waits until one may be tried."""
        turn = self._gates.soonest(work)
        return await self._come_back(work, turn.seconds, turn.failure, exact=turn.exact)

    async def _come_back(
        self, work: Work, seconds: float = 0.0, failure: Failure | None = None, *, exact: bool = False
    ) -> Next:
        """No deployment takes the call now: the job comes back in a moment, or after `seconds`; this is no attempt.

        `exact`: the seconds are the job's own, so there is no crowd that has to be kept apart.
        """
        left = self._calls.seconds_left(work)
        if left <= CLOCKS_APART:
            return await self._leave(work, Ending(Transition.EXPIRE, Stage.ANALYZE))
        delay = min(seconds if exact else max(seconds, self._pause(work)), left)
        return await self._leave(work, Ending(Transition.PARK, Stage.EXECUTE, delay=delay, failure=failure))

    async def _call_deployment(self, running: RunningJob) -> Next | Ending:
        """Start the attempt and make its call; how the job leaves by it, or whether another step follows.

        The slot of the deployment is for the call: what becomes of the job is written when it was given back.
        """
        work = running.work
        found = self._calls.target(work)
        assert not isinstance(found, Failure)
        if self._calls.seconds_left(work) <= 0:
            return Ending(Transition.EXPIRE, Stage.ANALYZE)
        start = self._calls.start(work, *found)
        started = await self._writer.start(start)
        if isinstance(started, Refused):
            return self._refused(work, start.deployment, started)
        if started is not Written.DONE:
            return Next.LEFT
        self._calls.started(work, start)
        try:
            answer = await self._hedger.outcome(running)
        except asyncio.CancelledError:
            return Ending(Transition.RELEASE, Stage.EXECUTE)
        if answer is None:
            return Next.LEFT
        if isinstance(answer, Reply):
            return self._calls.success(work, answer)
        work.failure = answer
        return Next.AGAIN

    def _refused(self, work: Work, deployment: Deployment, refused: Refused) -> Next | Ending:
        """A budget has no room for the call: what the job does instead."""
        failure = failure_of(refused)
        if refused.at_limit is AtLimit.CHEAPER and (cursor := self._calls.cheaper(work, deployment)) is not None:
            self._gates.unused(work.job.id)
            work.job.plan = work.plan.at(cursor)
            work.span("budget", self._now(), passed_over=failure.message, deployment=deployment.id)
            return Next.AGAIN
        delay = seconds_to_wait(refused, self._pause(work), self._calls.seconds_left(work))
        if delay is not None:
            return Ending(Transition.PARK, Stage.EXECUTE, delay=delay, failure=failure)
        work.failure = failure
        return Next.AGAIN

    def _pause(self, work: Work) -> float:
        """Seconds until a job that has to wait for others looks again, the longer the more often it did."""
        return min(pause(work.job.claim.claim_no), self._calls.seconds_left(work))

    async def _heal_job(self, work: Work, failure: Failure) -> Next:
        job = work.job
        if told_before_it_broke(work):
            return await self._leave(work, Ending(Transition.FAIL, Stage.ANALYZE, failure=failure))
        if Stage.HEAL not in self._serves:
            return await self._leave(work, Ending(Transition.HAND_OVER, Stage.HEAL, failure=failure))
        work.repair = None
        history = await self._history(work, failure)
        now = self._now()
        shut = frozenset[str]() if work.attempt is None else self._gates.shut_keys(work.attempt.deployment)
        case = Case(job, failure, history, now, shut, self._gates.stackstorm_shut)
        [(remedy, treatment)] = self._stages().heal.treat([case])
        named: dict[str, Any] = {"remedy": remedy, "treatment": type(treatment).__name__, "reason": treatment.reason}
        work.span("heal", self._now(), failure=failure.failure_class, **named)
        work.events.append(healed(named, failure, job.attempts))
        if isinstance(treatment, NextDeployment):
            return await self._continue(work, treatment.cursor)
        if isinstance(treatment, AskAgain) and work.attempt is not None:
            self._calls.ask_again(work, failure)
        if isinstance(treatment, NextKey | AskAgain):
            return await self._continue(work, work.plan.cursor)
        ending = ending_of(treatment, job, failure, now)
        if ending.repair is not None:
            work.events.append(asked(ending.repair, job.attempts))
        return await self._leave(work, ending)

    async def _history(self, work: Work, failure: Failure) -> list[PastAttempt]:
        """The job's ended attempts, with the one whose end is not written yet."""
        job, attempt = work.job, work.attempt
        history = (await self._histories([job.id]))[job.id]
        if attempt is None or attempt.end is None:
            return history
        # Of one that was written off while it ran the end is known by now.
        history = [past for past in history if past.attempt_no != attempt.number]
        key = None if attempt.key is None else attempt.key.name
        last = PastAttempt(attempt.number, attempt.deployment.id, attempt.end.outcome, failure, work.since, key)
        return [*history, last]

    async def _continue(self, work: Work, cursor: int) -> Next:
        """Go on with that step of the plan, in this process where it serves that."""
        work.job.plan = work.plan.at(cursor)
        if Stage.EXECUTE not in self._serves:
            return await self._leave(work, Ending(Transition.HAND_OVER, Stage.EXECUTE))
        if work.attempt is not None:
            settled = await self._settling.settle(work, Ending(Transition.CONTINUE, Stage.EXECUTE))
            if settled is not Written.DONE:
                return Next.LEFT
        work.job.stage = Stage.EXECUTE
        return Next.AGAIN
