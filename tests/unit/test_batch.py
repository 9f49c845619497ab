"""The happy path in batches: what goes well needs no coroutine, what does not gets one and harms no other."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from pipelines.execute.stage import ExecuteStage
from pipelines.flow.registry import RunningJob
from pipelines.flow.runner import JobRunner
from pipelines.flow.work import Ending, Work
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Billed, Outcome, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import PASSED
from synthralos.domain.jobs import Claim
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written
from tests.fakes.flow import FIRST, SECOND, Hold, Scene
from tests.fakes.stage_jobs import NOON, a_job, a_plan

SUCCESS = (Transition.SUCCEED, Stage.ANALYZE)
FAILURE = (Transition.FAIL, Stage.ANALYZE)


def planned(*steps: str, deadline: datetime | None = None) -> Work:
    """A job that is ready for its call."""
    return Work(a_job(routing=a_plan(*(steps or (FIRST,))), deadline=deadline), NOON)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[RunningJob]:
    """Everybody who left for a coroutine of its own."""
    left: list[RunningJob] = []
    take_over = JobRunner.take_over

    def noted(self: JobRunner, running: RunningJob, error: Exception | None = None) -> None:
        left.append(running)
        take_over(self, running, error)

    monkeypatch.setattr(JobRunner, "take_over", noted)
    return left


def test_jobs_that_succeed_are_started_called_and_settled_without_a_coroutine(alone: list[RunningJob]) -> None:
    async def scenario() -> None:
        scene, works = Scene(max_in_flight=10), [planned() for _ in range(5)]
        await scene.run_batch(*works)
        assert [start.attempt_no for start in scene.begun] == [1] * 5
        assert {call.job_id for call in scene.calls} == {work.job.id for work in works}
        assert scene.endings() == [SUCCESS] * 5
        assert sorted(work.job.id for work in scene.left) == sorted(work.job.id for work in works)
        assert alone == []

    asyncio.run(scenario())


def test_a_settlement_carries_the_spans_the_cost_and_the_claim_that_the_start_took() -> None:
    async def scenario() -> None:
        scene, work = Scene(), planned()
        work.job.claim = Claim("worker", 7, held=False)
        work.span("guard", NOON)
        await scene.run_batch(work)
        [settlement] = scene.settled
        assert [span.name for span in settlement.spans] == ["guard", "execute", "analyze"]
        assert settlement.job.claim == Claim("worker", 7)
        assert settlement.attempt is not None
        assert (settlement.attempt.outcome, settlement.attempt.billed) == (Outcome.SUCCEEDED, Billed.YES)
        assert settlement.attempt.cost is not None

    asyncio.run(scenario())


def test_a_job_that_was_decided_without_a_call_is_settled_so(alone: list[RunningJob]) -> None:
    async def scenario() -> None:
        scene, work = Scene(), planned()
        work.ending = Ending(Transition.DENY, Stage.ANALYZE)
        await scene.run_batch(work)
        assert (scene.endings(), scene.begun, alone) == ([(Transition.DENY, Stage.ANALYZE)], [], [])

    asyncio.run(scenario())


def test_a_job_that_fails_leaves_for_heal_and_the_others_go_on(alone: list[RunningJob]) -> None:
    async def scenario() -> None:
        scene, failing, fine = Scene(max_in_flight=10), planned(FIRST, SECOND), planned()

        async def answer(call: Call) -> Reply | Failure:
            if call.job_id == failing.job.id and call.attempt_no == 1:
                return Failure(FailureClass.RATE_LIMITED, "too much")
            return await scene.reply(call)

        scene.answering = answer
        await scene.run_batch(failing, fine)
        assert sorted(scene.endings()) == sorted([(Transition.CONTINUE, Stage.EXECUTE), SUCCESS, SUCCESS])
        assert [call.deployment.id for call in scene.calls if call.job_id == failing.job.id] == [FIRST, SECOND]
        assert [running.work for running in alone] == [failing]

    asyncio.run(scenario())


def test_a_job_whose_deployment_is_full_waits_in_a_coroutine_of_its_own(alone: list[RunningJob]) -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=1)
        await scene.run_batch(planned(), planned(), planned())
        assert scene.endings() == [SUCCESS] * 3
        assert len(alone) == 2

    asyncio.run(scenario())


def test_a_lost_claim_means_no_call_and_frees_the_slots() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.result = Written.CLAIM_LOST
        await scene.run_batch(planned())
        assert (scene.calls, scene.settled, len(scene.left)) == ([], [], 1)
        scene.result = Written.DONE
        await scene.run_batch(planned())
        assert scene.endings() == [SUCCESS]

    asyncio.run(scenario())


def test_a_refused_start_is_a_failure_of_the_job() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.result = Refused("acme")
        await scene.run_batch(planned())
        [settlement] = scene.settled
        assert settlement.failure is not None
        assert (settlement.transition, settlement.failure["class"]) == (Transition.FAIL, FailureClass.BUDGET)

    asyncio.run(scenario())


def test_a_deadline_that_has_passed_ends_the_job_without_a_call() -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.run_batch(planned(deadline=NOON - timedelta(seconds=1)))
        assert (scene.begun, scene.endings()) == ([], [(Transition.EXPIRE, Stage.ANALYZE)])

    asyncio.run(scenario())


def test_a_call_that_is_cut_is_booked_and_its_job_released_without_a_coroutine(alone: list[RunningJob]) -> None:
    async def scenario() -> None:
        scene, work = Scene(), planned()
        scene.answering = answering = Hold()
        scene.batch.run([work])
        await answering.came.wait()
        scene.cut(work.job)
        scene.cut(work.job)
        await scene.registry.emptied()
        [settlement] = scene.settled
        assert (settlement.transition, settlement.stage) == (Transition.RELEASE, Stage.EXECUTE)
        assert settlement.attempt is not None
        assert (settlement.attempt.outcome, settlement.attempt.billed) == (Outcome.CANCELLED, Billed.MAYBE)
        scene.answering = scene.reply
        await scene.run_batch(planned())
        assert scene.endings()[1:] == [SUCCESS]
        assert alone == []

    asyncio.run(scenario())


def test_a_job_that_is_cut_while_its_attempt_is_booked_makes_no_call() -> None:
    async def scenario() -> None:
        scene, work = Scene(), planned()
        scene.booking = booking = Hold()
        scene.batch.run([work])
        await booking.came.wait()
        scene.cut(work.job)
        booking.let_go.set()
        await scene.registry.emptied()
        assert (scene.calls, scene.endings()) == ([], [(Transition.RELEASE, Stage.EXECUTE)])
        assert scene.settled[0].attempt is not None
        assert (scene.settled[0].attempt.billed, scene.settled[0].attempt.cost) == (Billed.NO, 0)
        assert scene.deployments.calls() == 0

    asyncio.run(scenario())


def test_a_worker_that_drains_begins_nothing() -> None:
    async def scenario() -> None:
        scene, read = Scene(), planned()
        read.job.claim = Claim("worker", 1, held=False)
        scene.registry.release_waiting()
        await scene.run_batch(planned(), read)
        assert (scene.begun, scene.endings()) == ([], [(Transition.RELEASE, Stage.GUARD)])
        assert len(scene.left) == 2

    asyncio.run(scenario())


def test_a_start_that_cannot_be_written_makes_a_dead_letter_and_the_others_go_on() -> None:
    async def scenario() -> None:
        class Picky(Scene):
            async def start(self, start: Start) -> StartResult:
                if start.job.verdict is not None:
                    raise TypeError("not JSON")
                return await super().start(start)

        scene, odd, fine = Picky(max_in_flight=10), planned(), planned()
        odd.job.verdict = PASSED
        await scene.run_batch(odd, fine)
        assert sorted(scene.endings()) == sorted([FAILURE, SUCCESS])

    asyncio.run(scenario())


def test_a_result_that_cannot_be_written_makes_a_dead_letter_with_what_it_cost() -> None:
    async def scenario() -> None:
        class Picky(Scene):
            async def settle(self, settlement: Settlement) -> Written:
                if settlement.result is not None or settlement.spans:
                    raise TypeError("not JSON")
                return await super().settle(settlement)

        scene = Picky()
        await scene.run_batch(planned())
        [bare] = scene.settled
        assert (bare.transition, bare.spans, bare.result) == (Transition.FAIL, (), None)
        assert bare.attempt is not None
        assert (bare.attempt.outcome, bare.attempt.billed) == (Outcome.SUCCEEDED, Billed.YES)

    asyncio.run(scenario())


def test_a_bug_as_the_call_begins_makes_a_dead_letter_with_its_attempt_in_the_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin(self: ExecuteStage, call: Call, done: Callable[[Reply | Failure], None]) -> Callable[[], None]:
        raise ZeroDivisionError

    async def scenario() -> None:
        scene = Scene()
        with monkeypatch.context() as broken:
            broken.setattr(ExecuteStage, "begin", begin)
            await scene.run_batch(planned())
        [settlement] = scene.settled
        assert settlement.transition is Transition.FAIL
        assert settlement.attempt is not None
        assert settlement.attempt.billed is Billed.MAYBE
        await scene.run_batch(planned())
        assert scene.endings()[1:] == [SUCCESS]

    asyncio.run(scenario())


def test_the_same_claim_twice_is_one_call() -> None:
    async def scenario() -> None:
        scene, work = Scene(max_in_flight=10), planned()
        await scene.run_batch(work, Work(work.job, NOON))
        assert (len(scene.calls), scene.endings(), len(scene.left)) == (1, [SUCCESS], 2)

    asyncio.run(scenario())
