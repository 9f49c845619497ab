"""Answers of wait points, whole: written in the store, rung for, told, counted."""

from collections.abc import Callable

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.operator import Actor
from synthralos.control.ringing import ring_for
from synthralos.domain.states import Lane, State
from synthralos.domain.waits import Answer
from synthralos.store.admin.audit import By
from synthralos.store.queue.waits import Answered, Closed, Waits


class Answering:
    """An answer is durable before anybody is rung or told. Blocks; raises what the store raises. Thread-safe."""

    def __init__(
        self,
        waits: Waits,
        doorbell: Doorbell,
        bus: Bus,
        ended: Callable[[Lane, State], None] = lambda lane, state: None,
    ) -> None:
        """`ended` is told of each job that an answer ended."""
        self._waits = waits
        self._doorbell = doorbell
        self._bus = bus
        self._ended = ended

    def answer(self, wait_id: str, answer: Answer, actor: Actor) -> Answered | Closed | None:
        """Answer a wait; its job goes on where it stopped, or is denied. The actor's reason is the comment."""
        outcome = self._waits.answer(wait_id, actor.scope, answer, By(actor.name, actor.reason))
        if isinstance(outcome, Answered):
            self._announce(outcome)
        return outcome

    def _announce(self, answered: Answered) -> None:
        item = answered.work_item
        if item is not None:
            if answered.over:
                self._ended(item.lane, State.DENIED)
            ring_for(self._doorbell, [(item.stage, item.lane, item.id)])
            self._bus.publish(Topic.FINISHED if answered.over else Topic.CHANGED, [item.id])
        self._bus.publish(Topic.CHANGED, [answered.wait.id])
