"""A job that is equal to one in flight waits for its answer, where its sender allows it; nobody loses by that."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipelines.flow.work import Work
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision
from synthralos.domain.jobs import Claim, Constraints, Tenant
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Settlement, Written
from tests.fakes.flow import FIRST, SECOND, Hold, Scene
from tests.fakes.stage_jobs import NOON, a_job, a_plan

SUCCESS = (Transition.SUCCEED, Stage.ANALYZE)
REUSED = (Transition.REUSE, Stage.ANALYZE)
ALLOWED = Constraints(coalesce="allow")


def asking(text: str = "Hello", constraints: Constraints = ALLOWED, **changes: Any) -> Work:
    """A job that is ready for its call, and only read so far."""
    job = a_job(text, constraints=constraints, routing=a_plan(FIRST, SECOND))
    job.claim = Claim("worker", 1, held=False)
    return Work(replace(job, **changes), NOON)


def of(scene: Scene, work: Work) -> list[Settlement]:
    return [settlement for settlement in scene.settled if settlement.job is work.job]


async def while_in_flight(scene: Scene, first: Work, *others: Work) -> Hold:
    """Let the first one call, and then the others come."""
    hold = Hold()
    scene.answering = hold
    scene.batch.run([first])
    await hold.came.wait()
    scene.batch.run(others)
    for _ in range(5):  # until they wait: nothing tells of it
        await asyncio.sleep(0)
    return hold


def test_equal_jobs_of_a_batch_make_one_call_and_all_have_its_answer() -> None:
    async def scenario() -> None:
        scene, works = Scene(max_in_flight=10), [asking() for _ in range(4)]
        await scene.run_batch(*works)
        assert len(scene.calls) == len(scene.begun) == 1
        assert sorted(scene.endings()) == sorted([SUCCESS, REUSED, REUSED, REUSED])
        [payer] = [s for s in scene.settled if s.transition is Transition.SUCCEED]
        for settlement in scene.settled:
            assert settlement.result is not None
            assert settlement.result["text"] == "Hi"
            if settlement is not payer:
                assert (settlement.result["reused_from"], settlement.result["usage"]) == (payer.job.id, None)
                assert settlement.attempt is None
                assert settlement.verdict is not None
                assert settlement.verdict.decision is Decision.REUSE

    asyncio.run(scenario())


def test_who_comes_while_an_equal_call_is_in_flight_waits_for_its_answer() -> None:
    async def scenario() -> None:
        scene, first, second = Scene(max_in_flight=10), asking(), asking()
        hold = await while_in_flight(scene, first, second)
        assert scene.settled == []
        hold.let_go.set()
        await scene.registry.emptied()
        assert scene.endings() == [SUCCESS, REUSED]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "other",
    [
        asking("Something else"),
        asking(tenant=Tenant("acme", "other", account_plan="pro")),
        asking(tenant=Tenant("globex", account_plan="pro")),
        asking(constraints=Constraints(coalesce="allow", classification="none")),
        asking(constraints=Constraints(coalesce="allow", region="us")),
        asking(constraints=Constraints(coalesce="allow", exclude=(SECOND,))),
        asking(constraints=Constraints()),
        asking(constraints=Constraints(coalesce="never")),
        asking(constraints=Constraints(coalesce="allow", stream=True)),
    ],
    ids=[
        "another prompt", "another workspace", "another organization", "another classification", "other demands",
        "other deployments", "not asked", "not allowed", "a stream",
    ],
)  # fmt: skip
def test_what_is_not_equal_or_not_allowed_calls_by_itself(other: Work) -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=10)
        await scene.run_batch(asking(), other)
        assert (len(scene.calls), scene.endings()) == (2, [SUCCESS, SUCCESS])

    asyncio.run(scenario())


def test_where_the_first_one_fails_the_next_one_calls_and_the_others_wait_for_that() -> None:
    async def scenario() -> None:
        scene, works = Scene(max_in_flight=10), [asking() for _ in range(3)]
        failing = works[0].job.id

        async def answer(call: Call) -> Reply | Failure:
            if call.job_id == failing:
                return Failure(FailureClass.INVALID_REQUEST, "no")
            return await scene.reply(call)

        scene.answering = answer
        await scene.run_batch(*works)
        assert [call.job_id for call in scene.calls] == [failing, works[1].job.id]
        assert sorted(scene.endings()) == sorted([(Transition.FAIL, Stage.ANALYZE), SUCCESS, REUSED])

    asyncio.run(scenario())


def test_who_is_cancelled_while_it_waits_leaves_and_the_others_are_answered() -> None:
    async def scenario() -> None:
        scene, first, gone, third = Scene(max_in_flight=10), asking(), asking(), asking()
        hold = await while_in_flight(scene, first, gone, third)
        scene.cut(gone.job)
        hold.let_go.set()
        await scene.registry.emptied()
        assert of(scene, gone) == []
        assert [s.transition for s in scene.settled] == [Transition.SUCCEED, Transition.REUSE]

    asyncio.run(scenario())


def test_where_the_first_one_is_cancelled_the_next_one_calls() -> None:
    async def scenario() -> None:
        scene, first, second = Scene(max_in_flight=10), asking(), asking()
        hold = await while_in_flight(scene, first, second)
        hold.let_go.set()
        scene.answering = scene.reply
        scene.cut(first.job)
        await scene.registry.emptied()
        assert [call.job_id for call in scene.calls] == [first.job.id, second.job.id]
        assert [s.transition for s in of(scene, second)] == [Transition.SUCCEED]

    asyncio.run(scenario())


def test_an_answer_whose_job_was_lost_answers_nobody_else() -> None:
    async def scenario() -> None:
        scene, first, second = Scene(max_in_flight=10), asking(), asking()
        hold = await while_in_flight(scene, first, second)
        scene.result = Written.CLAIM_LOST

        async def answer(call: Call) -> Reply:
            scene.result = Written.DONE
            return Reply("of its own", None, "stop", "fake")

        scene.answering = answer
        hold.let_go.set()
        await scene.registry.emptied()
        assert [s.transition for s in scene.settled] == [Transition.SUCCEED]
        assert scene.settled[0].job is first.job

    asyncio.run(scenario())


def test_who_waits_past_its_deadline_expires_without_a_call() -> None:
    async def scenario() -> None:
        scene, first, late = Scene(max_in_flight=10), asking(), asking(deadline=NOON + timedelta(seconds=0.02))
        hold = await while_in_flight(scene, first)
        running = scene.registry.enter(late)
        assert running is not None
        task = asyncio.ensure_future(scene.runner.run(running))
        scene.now = NOON + timedelta(seconds=1)
        await task
        assert [s.transition for s in of(scene, late)] == [Transition.EXPIRE]
        assert len(scene.calls) == 1
        hold.let_go.set()
        await scene.registry.emptied()

    asyncio.run(scenario())


def test_who_was_rung_for_again_while_it_waits_is_answered_under_the_claim_that_was_written() -> None:
    async def scenario() -> None:
        scene, first, second = Scene(max_in_flight=10), asking(), asking()
        hold = await while_in_flight(scene, first, second)
        again = replace(second.job, claim=Claim("worker", 1))
        scene.batch.run([Work(again, NOON)])
        hold.let_go.set()
        await scene.registry.emptied()
        [settlement] = of(scene, second)
        assert (settlement.transition, settlement.job.claim.held) == (Transition.REUSE, True)

    asyncio.run(scenario())


def test_a_draining_worker_gives_back_who_waits() -> None:
    async def scenario() -> None:
        scene, first, second = Scene(max_in_flight=10), asking(), asking()
        hold = await while_in_flight(scene, first, second)
        scene.registry.release_waiting()
        hold.let_go.set()
        await scene.registry.emptied()
        assert scene.endings() == [SUCCESS]
        assert of(scene, second) == []

    asyncio.run(scenario())


def test_a_job_that_waits_for_a_slot_has_equal_ones_wait_with_it() -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=1)
        await scene.run_batch(asking("another one"), asking(), asking())
        assert len(scene.calls) == 2
        assert sorted(scene.endings()) == sorted([SUCCESS, SUCCESS, REUSED])

    asyncio.run(scenario())
