"""A worker's wall clock jumps while a call is in flight: what was asked is answered, timed and paid all the same."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import Stage, Transition
from tests.fakes.flow import Hold, Scene, planned

JUMPS = [timedelta(days=400), timedelta(days=-400), timedelta(seconds=-1)]


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_call_in_flight_is_answered_and_paid_whatever_the_clock_says(jump: timedelta) -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.answering = hold = Hold()
        running = asyncio.ensure_future(scene.run(planned()))
        await hold.came.wait()
        scene.now += jump
        hold.let_go.set()
        await running
        [settlement] = scene.settled
        assert (settlement.transition, settlement.stage) == (Transition.SUCCEED, Stage.ANALYZE)
        assert settlement.attempt is not None
        assert (settlement.attempt.outcome, settlement.attempt.billed) == (Outcome.SUCCEEDED, Billed.YES)
        assert 0 <= settlement.attempt.seconds < 60

    asyncio.run(scenario())


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_call_that_begins_after_a_jump_has_its_time(jump: timedelta) -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.now += jump
        await scene.run(planned())
        await scene.run_batch()
        [call] = scene.calls
        assert call.timeout == 60.0
        assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE)]

    asyncio.run(scenario())


def test_a_deadline_that_a_jump_has_passed_over_ends_the_job_and_a_jump_back_gives_no_call_more_than_its_time() -> None:
    async def scenario() -> None:
        scene = Scene()
        job = planned(deadline=scene.now + timedelta(seconds=30))
        scene.now += timedelta(hours=1)
        await scene.run(replace(job))
        assert (scene.calls, scene.endings()) == ([], [(Transition.EXPIRE, Stage.ANALYZE)])
        early = Scene()
        early.now -= timedelta(hours=1)
        await early.run(planned(deadline=scene.now))
        [call] = early.calls
        assert call.timeout == 60.0

    asyncio.run(scenario())
