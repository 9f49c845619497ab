"""The Dramatiq actors: one per stage and lane, each only a way from a message to the stage's handler."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeGuard

import dramatiq
from dramatiq.middleware import CurrentMessage

from synthralos.broker.queues import actor_name, direct_queue, queue_name
from synthralos.domain.states import Lane, Stage


class Handle(Protocol):
    """What works on the jobs of a message. `doubtful`: it was delivered before, and a worker may have died of it."""

    def __call__(self, stage: Stage, job_ids: list[str], *, doubtful: bool, lane: Lane) -> None:
        """Work on those of `job_ids` that have work at `stage`."""
        ...


PRIORITIES = {Lane.INTERACTIVE: 0, Lane.BULK: 10}
"""Dramatiq priorities: the lower number goes first among the messages that a worker has fetched."""

log = logging.getLogger(__name__)


def declare_direct_actors(broker: dramatiq.Broker, stages: Iterable[Stage], handle: Handle) -> None:
    """As `declare_actors`, with one queue a lane (`direct_queue`) for all stages, on a broker of their own."""
    for stage in dict.fromkeys(stages):
        for lane in Lane:
            _declare(broker, stage, lane, direct_queue(lane), handle)


def declare_actors(broker: dramatiq.Broker, namespace: str, stages: Iterable[Stage], handle: Handle) -> None:
    """Let a worker on `broker` serve `stages`: each message calls `handle(stage, ids)` on a worker thread.

    What `handle` raises is logged by Dramatiq and the message is done with; no retry, no dead letter: the
    sweeper rings again. Raises `ValueError` for a stage that the broker serves already.
    """
    if not any(isinstance(middleware, CurrentMessage) for middleware in broker.middleware):
        broker.add_middleware(CurrentMessage())
    for stage in dict.fromkeys(stages):
        for lane in Lane:
            _declare(broker, stage, lane, queue_name(namespace, stage, lane), handle)


def _declare(broker: dramatiq.Broker, stage: Stage, lane: Lane, queue: str, handle: Handle) -> None:
    dramatiq.Actor(
        _receiver(stage, lane, handle),
        broker=broker,
        actor_name=actor_name(stage, lane),
        queue_name=queue,
        priority=PRIORITIES[lane],
        options={"max_retries": 0},
    )


def _receiver(stage: Stage, lane: Lane, handle: Handle) -> Callable[..., None]:
    def receive(*args: Any, **kwargs: Any) -> None:
        if len(args) != 1 or kwargs or not _are_ids(args[0]):
            log.warning("dropped a malformed message of %s", actor_name(stage, lane))
            return
        handle(stage, args[0], doubtful=_was_delivered_before(), lane=lane)

    return receive


def _was_delivered_before() -> bool:
    """Whether the broker says that the message at hand was delivered to a worker that did not acknowledge it.

    RabbitMQ does. With Redis and in memory nothing tells such a message from a new one.
    """
    return bool(getattr(CurrentMessage.get_current_message(), "redelivered", False))


def _are_ids(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
