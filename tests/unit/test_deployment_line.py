"""The line in front of a full deployment: who joins it knows how long it takes, by the calls before."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from pipelines.flow.deployment_slots import DeploymentSlots
from tests.fakes.stage_jobs import a_deployment


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_before_a_call_has_ended() -> None:
    slots, deployment = DeploymentSlots(Clock()), a_deployment()
    assert slots.expected_wait(deployment) is None
    slots.take(deployment)
    assert slots.expected_wait(deployment) is None


@pytest.mark.parametrize(("seconds", "at_once"), [(0.01, 1), (2.0, 1), (2.0, 4), (30.0, 4)])
def test_the_wait_is_the_mean_time_of_a_call_over_the_calls_at_once(seconds: float, at_once: int) -> None:
    clock = Clock()
    slots, deployment = DeploymentSlots(clock), replace(a_deployment(), max_in_flight=at_once)
    for _ in range(3):
        for _ in range(at_once):
            assert slots.take(deployment)
        clock.now += seconds
        for _ in range(at_once):
            slots.release(deployment)
        clock.now += 60.0  # a time without calls says nothing about how long one takes
    assert slots.expected_wait(deployment) == pytest.approx(seconds / at_once)


def test_each_one_in_line_makes_it_longer() -> None:
    async def scenario() -> None:
        clock = Clock()
        slots, deployment = DeploymentSlots(clock), replace(a_deployment(), max_in_flight=1)
        slots.take(deployment)
        clock.now += 1.0
        slots.release(deployment)
        slots.take(deployment)
        waiting = [asyncio.ensure_future(slots.wait(deployment, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        assert slots.expected_wait(deployment) == pytest.approx(4.0)
        for task in waiting:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert slots.expected_wait(deployment) == pytest.approx(1.0)

    asyncio.run(scenario())


def test_a_fast_deployment_that_stalls_is_no_longer_taken_for_fast() -> None:
    clock = Clock()
    slots, deployment = DeploymentSlots(clock), replace(a_deployment(), max_in_flight=2)
    for _ in range(100):
        assert slots.take(deployment)
        clock.now += 0.01
        slots.release(deployment)
    assert slots.expected_wait(deployment) == pytest.approx(0.005)
    for _ in range(2):
        assert slots.take(deployment)
    clock.now += 30.0
    assert (slots.expected_wait(deployment) or 0.0) > 10.0
