"""Where a job finds a slot for its call: at the deployment that it wants, at another of its plan, or in a line."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from pipelines.flow.calls import Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.registry import Registry, RunningJob
from pipelines.flow.work import Work
from synthralos.domain.deployments import Deployment
from synthralos.domain.overlays import Priority

LINE = 16
"""Jobs that may wait for a moment at a deployment that is known to be slow, where its `max_in_flight` is smaller."""

_WORTH_WAITING = 10.0
"""Seconds that the line in front of a deployment may take: a longer one is not worth a slot of this process."""

T = TypeVar("T")


class SlotSeeker:
    """Seeks slots for jobs. Lives on the event loop."""

    def __init__(
        self,
        calls: Calls,
        registry: Registry,
        deployments: DeploymentSlots,
        gates: Gates,
        deployment_wait: float,
    ) -> None:
        """`deployment_wait`: seconds that a job waits for a slot of its deployment before it is parked."""
        self._calls = calls
        self._registry = registry
        self._deployments = deployments
        self._gates = gates
        self._deployment_wait = deployment_wait

    async def slot(self, running: RunningJob, wanted: Deployment) -> Deployment | None:
        """The deployment of which a slot was taken; None where all of the plan's are full.

        Raises `asyncio.CancelledError` where the job is to be given back.
        """
        if self._registry.draining or running.is_cut:
            raise asyncio.CancelledError
        if self._deployments.take(wanted):
            return wanted
        priority = running.work.job.overlay.priority or Priority.NORMAL
        if (
            not self._moves(wanted, priority, self._deployment_wait)
            and (free := self._next_free(running.work)) is not None
        ):
            return free
        for _ in range(2):  # what was not known at first may be known by then
            seconds = self._patience(running.work, wanted, priority)
            if seconds and await interruptible(running, partial(self._deployments.wait, wanted, seconds, priority)):
                return wanted
        return None

    def _moves(self, deployment: Deployment, priority: Priority, within: float) -> bool:
        """Whether the line in front of the deployment is known to be over within so many seconds."""
        expected = self._deployments.expected_wait(deployment, priority)
        return expected is not None and expected <= within

    def _patience(self, work: Work, deployment: Deployment, priority: Priority) -> float:
        """Seconds to stand in line; 0 where there is no point in it. What is not known yet is tried for a moment."""
        left = max(0.0, self._calls.seconds_left(work))
        if self._moves(deployment, priority, _WORTH_WAITING):
            return min(2 * _WORTH_WAITING, left)
        known = self._deployments.expected_wait(deployment) is not None
        if known and self._deployments.waiting(deployment) >= max(LINE, deployment.max_in_flight):
            return 0.0
        return min(self._deployment_wait, left)

    def _next_free(self, work: Work) -> Deployment | None:
        """Move on to the plan's next step whose deployment has a slot, and take it."""
        plan = work.plan
        for cursor in range(plan.cursor + 1, len(plan.steps)):
            deployment = self._calls.deployment(plan.steps[cursor])
            if deployment is None or self._gates.shuts_off(deployment):
                continue
            if self._deployments.take(deployment):
                self._gates.unused(work.job.id)
                work.job.plan = plan.at(cursor)
                return deployment
        return None


async def interruptible(running: RunningJob, wait: Callable[[], Awaitable[T]]) -> T:
    """Wait for something that `cut` may interrupt; nothing else of a job can be interrupted."""
    task = asyncio.current_task()
    assert task is not None
    if running.is_cut:
        raise asyncio.CancelledError
    running.wait(task.cancel)
    try:
        return await wait()
    finally:
        running.go_on()
