"""Who is served first in the line for a slot of a deployment."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pipelines.flow.deployment_slots import DeploymentSlots
from synthralos.domain.deployments import Deployment
from synthralos.domain.findings import PASSED
from synthralos.domain.overlays import Overlay, Priority
from tests.fakes.flow import FIRST, Hold, Scene, planned
from tests.fakes.stage_jobs import a_deployment

FULL = replace(a_deployment(), max_in_flight=1)


async def joined(slots: DeploymentSlots, count: int, deployment: Deployment = FULL) -> None:
    """So many stand in line."""
    while slots.waiting(deployment) != count:  # noqa: ASYNC110 - each turn of the loop brings one waiter further
        await asyncio.sleep(0)


def in_loop(todo: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await todo()

    asyncio.run(bounded())


def test_the_higher_priority_is_served_first_and_of_one_priority_who_came_first() -> None:
    async def todo() -> None:
        slots, served = DeploymentSlots(), list[str]()
        assert slots.take(FULL)

        async def call(name: str, priority: Priority) -> None:
            assert await slots.wait(FULL, 30.0, priority)
            served.append(name)
            slots.release(FULL)

        order = [
            ("low", Priority.LOW), ("first", Priority.NORMAL), ("high", Priority.HIGH), ("second", Priority.NORMAL),
            ("higher", Priority.HIGH),
        ]  # fmt: skip
        tasks = []
        for number, (name, priority) in enumerate(order, 1):
            tasks.append(asyncio.create_task(call(name, priority)))
            await joined(slots, number)
        slots.release(FULL)
        await asyncio.gather(*tasks)
        assert served == ["high", "higher", "first", "second", "low"]
        assert (slots.calls(), slots.waiting(FULL)) == (0, 0)

    in_loop(todo)


def test_the_jobs_that_policies_give_a_priority_are_called_for_in_its_order() -> None:
    async def todo() -> None:
        scene, hold = Scene(), Hold()
        scene.answering = hold
        jobs = [planned(FIRST) for _ in range(4)]
        for job, priority in zip(jobs[1:], (Priority.LOW, None, Priority.HIGH), strict=True):
            job.verdict = PASSED.demanding(Overlay(priority=priority))
        first, low, usual, high = jobs
        tasks = [asyncio.ensure_future(scene.run(first))]
        await hold.came.wait()
        deployment = scene.begun[0].deployment
        for number, job in enumerate((low, usual, high), 1):
            tasks.append(asyncio.ensure_future(scene.run(job)))
            await joined(scene.deployments, number, deployment)
        hold.let_go.set()
        await asyncio.gather(*tasks)
        assert [start.job for start in scene.begun] == [first, high, usual, low]

    in_loop(todo)


def test_who_gives_up_in_one_line_holds_up_nobody_in_another() -> None:
    async def todo() -> None:
        slots = DeploymentSlots()
        assert slots.take(FULL)
        gone = asyncio.create_task(slots.wait(FULL, 30.0, Priority.HIGH))
        await joined(slots, 1)
        stays = asyncio.create_task(slots.wait(FULL, 30.0, Priority.LOW))
        await joined(slots, 2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        slots.release(FULL)
        assert await stays
        assert slots.calls() == 1

    in_loop(todo)


def test_the_wait_that_is_expected_counts_those_who_are_served_before() -> None:
    async def todo() -> None:
        now = 0.0
        slots = DeploymentSlots(lambda: now)
        assert slots.take(FULL)
        now = 2.0
        slots.release(FULL)
        assert slots.take(FULL)
        tasks = [asyncio.create_task(slots.wait(FULL, 30.0)) for _ in range(3)]
        await joined(slots, 3)
        waits = [slots.expected_wait(FULL, priority) for priority in Priority]
        assert waits == [2.0, 8.0, 8.0]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    in_loop(todo)
