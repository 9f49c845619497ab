"""A job's own coroutine, for what is not the happy path: heal, another attempt, waiting for a slot, a failed write.

It writes at the points that matter: the attempt before the call, and everything that follows from the answer in one
transaction. Whatever it writes is fenced; when the claim is lost it stops.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from pipelines.flow.calls import CLOCKS_APART, Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.healing import Healer, Histories
from pipelines.flow.hedging import Hedger
from pipelines.flow.refusals import failure_of, pause, seconds_to_wait
from pipelines.flow.registry import Registry, RunningJob
from pipelines.flow.seeking import SlotSeeker, interruptible
from pipelines.flow.settling import Settling, Writer
from pipelines.flow.single_flight import SingleFlight, reuse_finding
from pipelines.flow.stages import StagesNow
from pipelines.flow.work import Ending, Next, Work
from synthralos.domain.attempts import Reply
from synthralos.domain.budgets import AtLimit
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, Rejected
from synthralos.domain.findings import with_finding
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Refused, Written
from synthralos.telemetry.context import Facts, about, begin

log = logging.getLogger(__name__)


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
        self._calls = calls
        self._settling = settling
        self._writer = writer
        self._registry = registry
        self._deployments = deployments
        self._seeker = SlotSeeker(calls, registry, deployments, gates, deployment_wait)
        self._gates = gates
        self._healer = Healer(serves, calls, settling, gates, stages, histories, now)
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
            while (found := await self._step(running)) is Next.AGAIN:
                pass
            if isinstance(found, Ending):
                await self._settling.settle(running.work, found)
        except Exception as error:  # noqa: BLE001 - the edge of a job; `bury` logs it
            await self._settling.bury(running.work, error)

    async def _step(self, running: RunningJob) -> Next | Ending:
        work = running.work
        if work.ending is not None:
            return work.ending
        if work.failure is None:
            if (repair := work.repair) is not None and repair.plan is not None:
                return await self._repair(running, repair.plan, repair.rejected)
            return await self._attempt(running)
        failure, work.failure = work.failure, None
        if work.attempt is not None and self._calls.seconds_left(work) <= CLOCKS_APART:
            return Ending(Transition.EXPIRE, Stage.ANALYZE, failure=failure)
        return await self._healer.heal(work, failure)

    @staticmethod
    def _release(work: Work) -> Next | Ending:
        """Give the job back. One that was only read is still queued."""
        return Ending(Transition.RELEASE, work.job.stage) if work.job.claim.held else Next.LEFT

    async def _repair(self, running: RunningJob, plan: RoutingPlan, rejected: Rejected) -> Next | Ending:
        """One attempt by the repair's own plan; where that cannot be made now, who gave the answer is asked instead."""
        work = running.work
        work.home, work.job.plan = work.plan, plan
        try:
            found = await self._attempt(running)
        finally:
            work.job.plan, work.home = work.home, None
        parked = isinstance(found, Ending) and found.transition is Transition.PARK
        if work.attempt is not None or not (parked or found is Next.AGAIN):
            return found
        self._gates.unused(work.job.id)
        work.failure = work.repair = None
        self._calls.ask_again(work, rejected, elsewhere=False)
        return Next.AGAIN

    async def _attempt(self, running: RunningJob) -> Next | Ending:
        """One attempt at the plan's current step, or at the next one whose deployment has a slot."""
        work = running.work
        if (
            work.job.constraints.coalesce == "allow"
            and (left := await self._answered_with_another(running)) is not None
        ):
            return left
        if not self._calls.admit(work):
            return self._shut_off(work)
        found = self._calls.target(work)
        if isinstance(found, Failure):
            self._gates.unused(work.job.id)
            work.failure = found
            return Next.AGAIN
        _, wanted = found
        try:
            deployment = await self._seeker.slot(running, wanted)
        except asyncio.CancelledError:
            return self._release(work)
        if deployment is None:
            return self._come_back(work)
        try:
            return await self._call_in_turn(running, deployment)
        finally:
            self._deployments.release(deployment)

    async def _answered_with_another(self, running: RunningJob) -> Next | Ending | None:
        """Wait for the answer to an equal request in flight, if there is one; None: the job makes its own call."""
        work = running.work
        try:
            answer = await interruptible(running, lambda: self._single.answer(work, self._calls.seconds_left(work)))
        except asyncio.CancelledError:
            return self._release(work)
        if answer is None:
            return None
        finding = reuse_finding(answer)
        work.job.verdict = with_finding(work.job.verdict, finding)
        work.span("coalesced", self._now(), reused_from=answer.job_id)
        return Ending(Transition.REUSE, Stage.ANALYZE, result=answer.reused())

    async def _call_in_turn(self, running: RunningJob, deployment: Deployment) -> Next | Ending:
        """The call at `deployment`, when its quota lets the job make it; see `_call_deployment`."""
        work = running.work
        try:
            if await interruptible(running, lambda: self._gates.wait(work, deployment)):
                return await self._call_deployment(running)
        except asyncio.CancelledError:
            return self._release(work)
        # The plan may have another deployment; where the turn did not come in time, the next look is not at once.
        if self._gates.admits_another(work, deployment):
            return Next.AGAIN
        return self._shut_off(work)

    def _shut_off(self, work: Work) -> Ending:
        """Breakers and quotas shut all of the plan's deployments off: the job waits until one may be tried."""
        turn = self._gates.soonest(work)
        return self._come_back(work, turn.seconds, turn.failure, exact=turn.exact)

    def _come_back(
        self, work: Work, seconds: float = 0.0, failure: Failure | None = None, *, exact: bool = False
    ) -> Ending:
        """No deployment takes the call now: the job comes back in a moment, or after `seconds`; this is no attempt.

        `exact`: the seconds are the job's own, so there is no crowd that has to be kept apart.
        """
        left = self._calls.seconds_left(work)
        if left <= CLOCKS_APART:
            return Ending(Transition.EXPIRE, Stage.ANALYZE)
        delay = min(seconds if exact else max(seconds, self._pause(work)), left)
        return Ending(Transition.PARK, Stage.EXECUTE, delay=delay, failure=failure)

    async def _call_deployment(self, running: RunningJob) -> Next | Ending:
        """Start the attempt and make its call; how the job leaves by it, or whether another step follows.

        The slot of the deployment is for the call: what becomes of the job is written when it was given back.
        """
        work = running.work
        found = self._calls.target(work)
        if isinstance(found, Failure):  # the slot is another step's, or the catalog changed while the job waited for it
            self._gates.unused(work.job.id)
            work.failure = found
            return Next.AGAIN
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
        if refused.at_limit is AtLimit.CHEAPER and (cursor := self._calls.costs.cheaper(work, deployment)) is not None:
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
