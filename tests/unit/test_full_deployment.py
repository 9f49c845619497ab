"""A job whose deployment is full: it goes on with its plan, stands in line, or comes back in a moment."""

import asyncio
from datetime import timedelta

from pipelines.flow.seeking import LINE
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Claim
from synthralos.domain.states import Stage, Transition
from tests.fakes.flow import FIRST, SECOND, Hold, Scene, planned
from tests.fakes.stage_jobs import NOON


def test_a_job_whose_deployment_is_full_goes_on_with_the_next_step_that_is_free() -> None:
    async def scenario() -> None:
        scene, flying, other = Scene(max_in_flight=1), planned(), planned()
        scene.answering = answering = Hold()
        first = asyncio.ensure_future(scene.run(flying))
        await answering.came.wait()
        second = asyncio.ensure_future(scene.run(other))
        answering.let_go.set()
        await second
        assert [call.deployment.id for call in scene.calls] == [FIRST, SECOND]
        await first
        cursors = {start.job.id: start.plan.cursor for start in scene.begun}
        assert cursors == {flying.id: 0, other.id: 1}

    asyncio.run(scenario())


def test_a_job_that_finds_all_deployments_of_its_plan_full_is_parked_without_an_attempt() -> None:
    async def scenario() -> None:
        scene, job = Scene(max_in_flight=1, deployment_wait=0.0), planned(FIRST)
        scene.answering = answering = Hold()
        first = asyncio.ensure_future(scene.run(planned(FIRST)))
        await answering.came.wait()
        await scene.run(job)
        [parked] = scene.settled
        assert (parked.transition, parked.stage, parked.attempt) == (Transition.PARK, Stage.EXECUTE, None)
        assert parked.delay is not None
        assert 0.5 <= parked.delay <= 2.0
        assert (len(scene.calls), job.attempts) == (1, 0)
        answering.let_go.set()
        await first

    asyncio.run(scenario())


def test_a_job_that_comes_back_again_and_again_is_parked_for_longer_but_not_past_its_deadline() -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=1, deployment_wait=0.0)
        scene.answering = answering = Hold()
        first = asyncio.ensure_future(scene.run(planned(FIRST)))
        await answering.came.wait()
        often, late = planned(FIRST), planned(FIRST, deadline=NOON + timedelta(seconds=3))
        often.claim = late.claim = Claim("worker", 100)
        await scene.run(often)
        await scene.run(late)
        delays = [settlement.delay or 0.0 for settlement in scene.settled]
        assert 8.0 <= delays[0] <= 32.0
        assert delays[1] == 3.0
        answering.let_go.set()
        await first

    asyncio.run(scenario())


def test_a_job_that_finds_a_long_line_at_a_slow_deployment_does_not_wait_in_it() -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=1)
        await a_call_of(scene, seconds=30.0)
        scene.answering = answering = Hold()
        runs = [asyncio.ensure_future(scene.run(planned(FIRST))) for _ in range(1 + LINE)]
        await answering.came.wait()
        await scene.run(planned(FIRST))
        assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE), (Transition.PARK, Stage.EXECUTE)]
        answering.let_go.set()
        await asyncio.gather(*runs)

    asyncio.run(scenario())


def test_a_job_waits_in_any_line_of_a_fast_deployment_and_goes_to_no_other() -> None:
    async def scenario() -> None:
        scene = Scene(max_in_flight=1, deployment_wait=1.0)
        await a_call_of(scene, seconds=0.001)
        scene.answering = answering = Hold()
        runs = [asyncio.ensure_future(scene.run(planned(FIRST, SECOND))) for _ in range(100)]
        await answering.came.wait()
        answering.let_go.set()
        await asyncio.gather(*runs)
        assert set(scene.endings()) == {(Transition.SUCCEED, Stage.ANALYZE)}
        assert {call.deployment.id for call in scene.calls} == {FIRST}

    asyncio.run(scenario())


async def a_call_of(scene: Scene, *, seconds: float) -> None:
    """The first deployment answers a call after so many seconds, as its line counts them."""

    async def answer(call: Call) -> Reply | Failure:
        scene.seconds += seconds
        return await scene.reply(call)

    scene.answering = answer
    await scene.run(planned(FIRST))
