"""JobRunner at the moments that no real server and database can be brought to: what is written, and what is called."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from pipelines.analyze.stage import AnalyzeStage
from pipelines.execute.stage import ExecuteStage
from pipelines.flow.runner import JobRunner
from pipelines.flow.work import Work
from pipelines.heal.stage import build_heal_stage
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Billed, Outcome, PastAttempt, Reply
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import PASSED
from synthralos.domain.jobs import Job
from synthralos.domain.money import Usage
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Settlement, Start, StartResult, Written
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan

FIRST, SECOND, THIRD = "fake/first@us", "fake/second@us", "fake/third@us"
Step = Callable[[], Awaitable[object]]


async def at_once() -> None:
    """Nothing to wait for."""


class Scene:
    """One worker's journeys: books that are kept in memory, a provider that answers as told, a clock that stands."""

    def __init__(self, *, max_in_flight: int = 1, serves: Sequence[Stage] = tuple(Stage)) -> None:
        self.now = NOON
        self.begun: list[Start] = []
        self.settled: list[Settlement] = []
        self.calls: list[Call] = []
        self.booking: Step = at_once
        self.recalling: Step = at_once
        self.answering: Callable[[Call], Awaitable[Reply | Failure]] = self._reply
        self.claim_holds = True
        deployments = [a_deployment(name, adapter="fake") for name in (FIRST, SECOND, THIRD)]
        catalog = Catalog([replace(deployment, max_in_flight=max_in_flight) for deployment in deployments])
        self.journeys = JobRunner(
            frozenset(serves), catalog, ExecuteStage({"fake": self}), build_heal_stage(Random(1), catalog),
            AnalyzeStage(), self, self._histories, lambda: self.now, 60.0,
        )  # fmt: skip
        self.past: list[PastAttempt] = []

    async def start(self, start: Start) -> StartResult:
        """See `Writer.start`."""
        await self.booking()
        self.begun.append(start)
        return self._written()

    async def settle(self, settlement: Settlement) -> Written:
        """See `Writer.settle`."""
        self.settled.append(settlement)
        return self._written()

    def _written(self) -> Written:
        return Written.DONE if self.claim_holds else Written.CLAIM_LOST

    async def call(self, call: Call) -> Reply | Failure:
        """See `Provider.call`."""
        self.calls.append(call)
        return await self.answering(call)

    async def close(self) -> None:
        """See `Provider.close`."""

    def travel(self, job: Job, failure: Failure | None = None) -> Awaitable[None]:
        """Send the job on its way."""
        return self.journeys.travel(Work(job, NOON, failure=failure))

    def cut(self, job: Job) -> None:
        """Take the job from this worker."""
        self.journeys.cut([(job.id, job.claim.claim_no)])

    def endings(self) -> list[tuple[Transition, Stage]]:
        """How the jobs went on."""
        return [(s.transition, s.stage) for s in self.settled]

    async def _histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        await self.recalling()
        return dict.fromkeys(job_ids, self.past)

    @staticmethod
    async def _reply(_: Call) -> Reply | Failure:
        return Reply("Hi", Usage(1, 1), "stop", "fake")


def planned(*, deadline: datetime | None = None, cursor: int = 0) -> Job:
    """A job that is ready to fly."""
    return a_job(routing=a_plan(FIRST, SECOND, THIRD, cursor=cursor), deadline=deadline)


class Hold:
    """Holds whoever comes until the test lets go."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, *_: object) -> Reply:
        self.came.set()
        await self.let_go.wait()
        return Reply("Hi", Usage(1, 1), "stop", "fake")


def test_a_job_that_is_cut_while_its_attempt_is_booked_makes_no_call() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        scene.booking = booking = Hold()
        journey = asyncio.ensure_future(scene.travel(job))
        await booking.came.wait()
        scene.cut(job)
        booking.let_go.set()
        await journey
        assert (scene.calls, scene.endings()) == ([], [(Transition.RELEASE, Stage.EXECUTE)])
        [settlement] = scene.settled
        assert settlement.attempt is not None
        assert settlement.attempt.outcome is Outcome.CANCELLED
        assert scene.journeys.under_way() == []

    asyncio.run(scenario())


def test_a_worker_that_releases_everything_makes_no_more_calls() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()

        async def failing(_: Call) -> Failure:
            return Failure(FailureClass.RATE_LIMITED, "too much")

        async def meanwhile() -> None:
            scene.journeys.release_all()

        scene.answering, scene.recalling = failing, meanwhile
        await scene.travel(job)
        assert len(scene.calls) == 1
        assert scene.endings()[-1] == (Transition.RELEASE, Stage.EXECUTE)

    asyncio.run(scenario())


def test_a_call_that_is_cut_is_booked_as_maybe_billed() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        scene.answering = answering = Hold()
        journey = asyncio.ensure_future(scene.travel(job))
        await answering.came.wait()
        assert scene.journeys.under_way() == [(job.id, job.claim.claim_no)]
        scene.cut(job)
        scene.cut(job)
        await journey
        [settlement] = scene.settled
        assert settlement.attempt is not None
        assert (settlement.attempt.outcome, settlement.attempt.billed) == (Outcome.CANCELLED, Billed.MAYBE)

    asyncio.run(scenario())


def test_a_deadline_that_passes_while_the_attempt_is_booked_leaves_the_call_a_timeout() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned(deadline=NOON + timedelta(seconds=5))

        async def slow() -> None:
            scene.now = NOON + timedelta(seconds=6)

        scene.booking = slow
        await scene.travel(job)
        [call] = scene.calls
        assert 0 < call.timeout < 1

    asyncio.run(scenario())


def test_a_deadline_that_has_passed_before_ends_the_job_without_a_call() -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.travel(planned(deadline=NOON))
        assert (scene.calls, scene.begun) == ([], [])
        assert scene.endings() == [(Transition.EXPIRE, Stage.ANALYZE)]

    asyncio.run(scenario())


def test_a_job_that_waits_for_its_deployment_is_released_and_the_next_one_gets_the_place() -> None:
    async def scenario() -> None:
        scene, flying, waiting, last = Scene(max_in_flight=1), planned(), planned(), planned()
        scene.answering = answering = Hold()
        first = asyncio.ensure_future(scene.travel(flying))
        await answering.came.wait()
        second, third = asyncio.ensure_future(scene.travel(waiting)), asyncio.ensure_future(scene.travel(last))
        await asyncio.sleep(0)  # both run until they wait
        scene.cut(waiting)
        await second
        answering.let_go.set()
        await asyncio.gather(first, third)
        assert [call.job_id for call in scene.calls] == [flying.id, last.id]
        assert scene.endings() == [
            (Transition.RELEASE, Stage.GUARD), (Transition.SUCCEED, Stage.ANALYZE), (Transition.SUCCEED, Stage.ANALYZE),
        ]  # fmt: skip

    asyncio.run(scenario())


def test_a_job_that_heal_sent_on_and_that_is_released_does_not_go_back_to_heal() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        job.stage, job.attempts = Stage.HEAL, 1
        failure = Failure(FailureClass.RATE_LIMITED, "too much")
        scene.past = [PastAttempt(1, FIRST, Outcome.FAILED, failure, NOON)]

        async def fly(_: Call) -> Reply:
            return await answering()

        answering = Hold()
        scene.answering = fly
        other = planned(cursor=1)
        flying = asyncio.ensure_future(scene.travel(other))
        await answering.came.wait()
        healed = asyncio.ensure_future(scene.travel(job, failure))
        await asyncio.sleep(0)  # it runs until it waits
        scene.cut(job)
        await healed
        assert scene.endings() == [(Transition.RELEASE, Stage.EXECUTE)]
        assert scene.settled[0].plan is not None
        assert scene.settled[0].plan.cursor == 1
        answering.let_go.set()
        await flying

    asyncio.run(scenario())


def test_a_job_whose_claim_is_lost_makes_no_call() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.claim_holds = False
        await scene.travel(planned())
        assert (scene.calls, scene.settled) == ([], [])

    asyncio.run(scenario())


def test_a_bug_in_a_provider_makes_a_dead_letter_with_its_attempt_on_the_books() -> None:
    async def scenario() -> None:
        scene = Scene()

        async def broken(_: Call) -> Reply:
            raise ZeroDivisionError

        scene.answering = broken
        await scene.travel(planned())
        [settlement] = scene.settled
        assert (settlement.transition, settlement.stage) == (Transition.FAIL, Stage.ANALYZE)
        assert settlement.attempt is not None
        assert (settlement.attempt.attempt_no, settlement.attempt.billed) == (1, Billed.MAYBE)
        assert scene.journeys.under_way() == []

    asyncio.run(scenario())


def test_a_job_whose_findings_cannot_be_written_is_settled_without_them() -> None:
    async def scenario() -> None:
        class Picky(Scene):
            async def start(self, start: Start) -> StartResult:
                raise TypeError("not JSON")

            async def settle(self, settlement: Settlement) -> Written:
                if settlement.verdict is not None:
                    raise TypeError("not JSON")
                return await super().settle(settlement)

        scene, job = Picky(), planned()
        job.verdict = PASSED
        await scene.travel(job)
        [bare] = scene.settled
        assert (bare.transition, bare.spans, bare.plan) == (Transition.FAIL, (), None)
        assert bare.failure is not None
        assert bare.failure["class"] == FailureClass.INTERNAL

    asyncio.run(scenario())
