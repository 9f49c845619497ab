"""Hedged calls: where an interactive job's call is slower than its deployment is in 95 of 100 cases, a second call is
made elsewhere, and the first answer counts. Of answers that are streamed it is the time to the first word.

Both are on the books before they are made. A job has one call in flight in its row, so the first one is written off as
`lost`, maybe billed, before the second is booked: whatever dies from then on, both are there. What became of the first
is learned with the job's next settlement, as of any call that was written off (`Settlement.late`).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from pipelines.flow.calls import Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.racing import Race
from pipelines.flow.registry import RunningJob
from pipelines.flow.seeking import interruptible
from pipelines.flow.settling import Settling, Writer
from pipelines.flow.stages import StagesNow
from pipelines.flow.work import Ending, OpenAttempt, Work
from pipelines.route.filters import closed_to
from pipelines.route.observed import Latencies
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome, Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.money import ServiceTier
from synthralos.domain.plans import Step
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.writes import Written
from synthralos.telemetry.families import HEDGES
from synthralos.telemetry.metrics import Metrics

SHARE = 0.05
"""Hedged calls for each call that may be hedged."""

SAVED = 5.0
"""Hedged calls that a worker has saved at most; it begins with one. Source: Dean and Barroso, "The Tail at Scale"
(2013): requests that wait for the 95th percentile before they are sent twice add about 5 % of load."""

LEAST_SECONDS = 0.05
"""A call that takes less is worth no second one."""


class HedgeBudget:
    """How many calls of one worker may be hedged. Lives on the event loop."""

    def __init__(self) -> None:
        self._left = 1.0

    def called(self) -> None:
        """A call is made that may be hedged."""
        self._left = min(SAVED, self._left + SHARE)

    def take(self) -> bool:
        """Take one; False where none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Hedger:
    """Makes calls of which the first answer counts. Lives on the event loop."""

    def __init__(
        self,
        calls: Calls,
        settling: Settling,
        writer: Writer,
        deployments: DeploymentSlots,
        gates: Gates,
        stages: StagesNow,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls, self._settling, self._writer = calls, settling, writer
        self._deployments, self._gates, self._stages, self._clock = deployments, gates, stages, clock
        self._budget = HedgeBudget()
        self._counts = (metrics or Metrics()).counters(HEDGES)

    async def outcome(self, running: RunningJob) -> Reply | Failure | None:
        """What the job's open call brings, hedged where it may be; None: the job is another's now.

        Afterwards it is known of `work.attempt`, which is the call that counts, and of `work.other`, the other one, if
        there are two. Raises `asyncio.CancelledError` where the job is to be given back.
        """
        work = running.work
        patience = self._patience(work)
        if running.is_cut:
            self._calls.unmade(work)
            raise asyncio.CancelledError
        if patience is not None:
            return await self._first_answer(running, patience)
        try:
            answer = await interruptible(running, lambda: self._calls.make(work))
        except asyncio.CancelledError:
            self._calls.cut(work)
            raise
        self._calls.answered(work, answer)
        return answer

    def _patience(self, work: Work) -> float | None:
        """Seconds after which the job's open call is hedged; None: it is not."""
        job, attempt = work.job, work.attempt
        wanted = job.lane is Lane.INTERACTIVE and job.overlay.hedge
        if not wanted or attempt is None or work.home is not None or job.attempts >= job.constraints.max_attempts:
            return None
        return _patience_with(self._stages().latencies, attempt.deployment)

    def _patience_to_first_word(self, attempt: OpenAttempt) -> float | None:
        """The same, once the call is made; None: it is not streamed, or too few of its first words are known."""
        return None if attempt.tap is None else _patience_with(self._stages().first_tokens, attempt.deployment)

    async def _first_answer(self, running: RunningJob, seconds: float) -> Reply | Failure | None:
        """The first answer to the job's open call, and to a second one that is made after so many seconds."""
        work, race = running.work, Race(self._calls, running)
        second: Work | None = None
        slot: Deployment | None = None
        self._budget.called()
        try:
            race.begin(work)
            seconds = self._patience_to_first_word(_open(work)) or seconds
            if await race.quiet(seconds) and (found := self._second(work)) is not None:
                if not await self._book(work, *found):
                    return None
                if found[0].attempt is not None:
                    second, _, slot = found
                    self._begin_second(race, second)
            await race.decide()
            if slot is not None and _is_over(second):
                self._deployments.release(slot)
                slot = None
            return self._counted(await race.answer(), race, second)
        finally:
            race.end()
            if slot is not None:
                self._deployments.release(slot)
            if second is not None:
                self._keep(work, second, first_counts=race.won_by(work))

    def _begin_second(self, race: Race, second: Work) -> None:
        """Make the second call, unless the first one has said something while it was booked."""
        if race.is_open:
            race.begin(second)
        else:
            self._calls.unmade(second)

    def _counted(self, found: Reply | Failure, race: Race, second: Work | None) -> Reply | Failure:
        if second is not None:
            outcome = "none" if isinstance(found, Failure) else "won" if race.won_by(second) else "lost"
            self._counts[outcome,].inc()
        return found

    def _second(self, work: Work) -> tuple[Work, Step, Deployment] | None:
        """A call elsewhere that may be made now, with its slots taken; None: there is none."""
        plan = work.plan
        for cursor in range(plan.cursor + 1, len(plan.steps)):
            step = plan.steps[cursor]
            deployment = self._may_go_to(work, step)
            if deployment is None or not self._deployments.take(deployment):
                continue
            job = replace(work.job, plan=plan.at(cursor))
            second = Work(job, work.since, lane=work.lane, stored=work.stored, ticket=f"{job.id}+")
            if self._gates.take(second, deployment):
                if self._calls.costs.request(second, deployment) is not None and self._budget.take():
                    return second, step, deployment
                self._gates.unused(second.ticket)
            self._deployments.release(deployment)
        return None

    def _may_go_to(self, work: Work, step: Step) -> Deployment | None:
        deployment = self._calls.deployment(step)
        if deployment is None or deployment is _open(work).deployment or step.service_tier is not ServiceTier.STANDARD:
            return None
        if self._gates.shuts_off(deployment) or closed_to(work.job.constraints, deployment) is not None:
            return None
        return deployment

    async def _book(self, work: Work, second: Work, step: Step, deployment: Deployment) -> bool:
        """Write the first call off and book the second, which then is open; False where the job is another's now.

        Where a budget has no room, the second is not made, and the first goes on.
        """
        booked = False
        try:
            first = work.attempt
            assert first is not None
            first.end = AttemptEnd(first.number, Outcome.LOST, Billed.MAYBE, None, None)
            written = await self._settling.settle(work, Ending(Transition.CONTINUE, Stage.EXECUTE))
            first.end, first.lost, work.attempt = None, True, first
            if written is not Written.DONE:
                return False
            start = self._calls.start(second, step, deployment)
            started = await self._writer.start(start)
            booked = started is Written.DONE
            if booked:
                self._calls.started(second, start)
                work.job.attempts = second.job.attempts
                work.stored = second.stored
            return started is not Written.CLAIM_LOST
        finally:
            if not booked:
                self._counts["refused",].inc()
                self._gates.unused(second.ticket)
                self._deployments.release(deployment)

    def _keep(self, work: Work, second: Work, *, first_counts: bool) -> None:
        """All about both calls is the job's: the one that counts is `attempt`."""
        first, other = work.attempt, second.attempt
        assert first is not None
        assert other is not None
        work.spans += second.spans
        work.since = max(work.since, second.since)
        if first_counts:
            work.other = other
        else:
            work.attempt, work.other = other, first
            work.job.plan = second.job.plan
            work.job.verdict = second.job.verdict or work.job.verdict
        work.span("hedge", work.since, deployment=other.deployment.id, won=not first_counts)


def _is_over(work: Work | None) -> bool:
    """Whether the call is."""
    return work is not None and work.attempt is not None and work.attempt.end is not None


def _patience_with(latencies: Latencies, deployment: Deployment) -> float | None:
    known = latencies.now().seconds.get(deployment.id)
    return None if known is None else max(LEAST_SECONDS, known.high)


def _open(work: Work) -> OpenAttempt:
    assert work.attempt is not None
    return work.attempt
