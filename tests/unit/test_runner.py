"""JobRunner at the moments that no real server and database can be brought to: what is written, and what is called."""

import asyncio
from datetime import timedelta

from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Billed, Outcome, PastAttempt, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import PASSED
from synthralos.domain.jobs import Claim
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written
from tests.fakes.flow import FIRST, SECOND, Hold, Scene, planned
from tests.fakes.stage_jobs import NOON


def test_a_job_that_is_cut_while_its_attempt_is_booked_makes_no_call() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        scene.booking = booking = Hold()
        run = asyncio.ensure_future(scene.run(job))
        await booking.came.wait()
        scene.cut(job)
        booking.let_go.set()
        await run
        assert (scene.calls, scene.endings()) == ([], [(Transition.RELEASE, Stage.EXECUTE)])
        [settlement] = scene.settled
        assert settlement.attempt is not None
        assert (settlement.attempt.outcome, settlement.attempt.billed) == (Outcome.CANCELLED, Billed.NO)
        assert scene.registry.under_way() == []

    asyncio.run(scenario())


def test_a_worker_that_releases_everything_makes_no_more_calls() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()

        async def failing(_: Call) -> Failure:
            return Failure(FailureClass.RATE_LIMITED, "too much")

        async def meanwhile() -> None:
            scene.registry.release_all()

        scene.answering, scene.recalling = failing, meanwhile
        await scene.run(job)
        assert len(scene.calls) == 1
        assert scene.endings()[-1] == (Transition.RELEASE, Stage.EXECUTE)

    asyncio.run(scenario())


def test_a_call_that_is_cut_is_booked_as_maybe_billed() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        scene.answering = answering = Hold()
        run = asyncio.ensure_future(scene.run(job))
        await answering.came.wait()
        assert scene.registry.under_way() == [(job.id, job.claim.claim_no)]
        scene.cut(job)
        scene.cut(job)
        await run
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
        await scene.run(job)
        [call] = scene.calls
        assert 0 < call.timeout < 1

    asyncio.run(scenario())


def test_a_deadline_that_has_passed_before_ends_the_job_without_a_call() -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.run(planned(deadline=NOON))
        assert (scene.calls, scene.begun) == ([], [])
        assert scene.endings() == [(Transition.EXPIRE, Stage.ANALYZE)]

    asyncio.run(scenario())


def test_a_job_that_waits_for_its_deployment_is_released_and_the_next_one_gets_the_place() -> None:
    async def scenario() -> None:
        scene, flying, waiting, last = Scene(max_in_flight=1), *(planned(FIRST) for _ in range(3))
        scene.answering = answering = Hold()
        first = asyncio.ensure_future(scene.run(flying))
        await answering.came.wait()
        second, third = asyncio.ensure_future(scene.run(waiting)), asyncio.ensure_future(scene.run(last))
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
        scene, job = Scene(), planned(FIRST, SECOND)
        job.stage, job.attempts = Stage.HEAL, 1
        failure = Failure(FailureClass.RATE_LIMITED, "too much")
        scene.past = [PastAttempt(1, FIRST, Outcome.FAILED, failure, NOON)]

        async def fly(_: Call) -> Reply:
            return await answering()

        answering = Hold()
        scene.answering = fly
        other = planned(FIRST, SECOND, cursor=1)
        flying = asyncio.ensure_future(scene.run(other))
        await answering.came.wait()
        healed = asyncio.ensure_future(scene.run(job, failure))
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
        scene.result = Written.CLAIM_LOST
        await scene.run(planned())
        assert (scene.calls, scene.settled) == ([], [])

    asyncio.run(scenario())


def test_a_bug_in_a_provider_makes_a_dead_letter_with_its_attempt_on_the_books() -> None:
    async def scenario() -> None:
        scene = Scene()

        def broken(_: Call) -> None:
            raise ZeroDivisionError

        scene.beginning = broken
        await scene.run(planned())
        [settlement] = scene.settled
        assert (settlement.transition, settlement.stage) == (Transition.FAIL, Stage.ANALYZE)
        assert settlement.attempt is not None
        assert (settlement.attempt.attempt_no, settlement.attempt.billed) == (1, Billed.MAYBE)
        assert scene.registry.under_way() == []

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
        await scene.run(job)
        [bare] = scene.settled
        assert (bare.transition, bare.spans, bare.plan) == (Transition.FAIL, (), None)
        assert bare.failure is not None
        assert bare.failure["class"] == FailureClass.INTERNAL

    asyncio.run(scenario())


def test_a_job_that_was_only_read_is_given_back_without_a_word() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        job.claim = Claim("worker", 1, held=False)
        scene.registry.release_waiting()
        await scene.run(job)
        assert (scene.settled, scene.begun, scene.calls) == ([], [], [])

    asyncio.run(scenario())


def test_the_start_takes_the_claim_of_a_job_that_was_only_read() -> None:
    async def scenario() -> None:
        scene, job = Scene(), planned()
        job.claim = Claim("worker", 1, held=False)
        await scene.run(job)
        assert job.claim == Claim("worker", 1)
        assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE)]

    asyncio.run(scenario())


def test_a_worker_that_drains_gives_back_what_has_not_begun_and_lets_calls_go_on() -> None:
    async def scenario() -> None:
        scene, waiting, late = Scene(max_in_flight=1), planned(FIRST), planned(SECOND)
        scene.answering = answering = Hold()
        flying = asyncio.ensure_future(scene.run(planned(FIRST)))
        await answering.came.wait()
        second = asyncio.ensure_future(scene.run(waiting))
        await asyncio.sleep(0)  # it runs until it waits
        scene.registry.release_waiting()
        await second
        await scene.run(late)
        assert scene.endings() == [(Transition.RELEASE, Stage.GUARD)] * 2
        answering.let_go.set()
        await flying
        assert scene.endings()[2:] == [(Transition.SUCCEED, Stage.ANALYZE)]

    asyncio.run(scenario())


def test_a_start_that_a_budget_refuses_is_a_failure_of_the_job_without_a_call() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.result = Refused("acme/main monthly")
        await scene.run(planned())
        assert scene.calls == []
        [settlement] = scene.settled
        assert (settlement.transition, settlement.attempt) == (Transition.FAIL, None)
        assert settlement.failure is not None
        assert settlement.failure["class"] == FailureClass.BUDGET
        assert "acme/main monthly" in settlement.failure["message"]

    asyncio.run(scenario())


def test_a_paid_answer_that_cannot_be_written_leaves_its_figures_in_the_ledger() -> None:
    async def scenario() -> None:
        class Picky(Scene):
            async def settle(self, settlement: Settlement) -> Written:
                if settlement.attempt is not None and settlement.attempt.provider_model is not None:
                    raise TypeError("not text")
                return await super().settle(settlement)

        scene = Picky()
        await scene.run(planned())
        [bare] = scene.settled
        assert bare.transition is Transition.FAIL
        assert bare.attempt is not None
        assert (bare.attempt.outcome, bare.attempt.billed) == (Outcome.SUCCEEDED, Billed.YES)
        assert bare.attempt.cost is not None

    asyncio.run(scenario())


def test_a_job_of_which_nothing_can_be_written_leaves_for_the_audit_to_find() -> None:
    async def scenario() -> None:
        class Broken(Scene):
            async def settle(self, settlement: Settlement) -> Written:
                raise TypeError("nothing")

        scene = Broken()
        await scene.run(planned())
        assert scene.registry.under_way() == []
        assert len(scene.left) == 1

    asyncio.run(scenario())
