"""The doorbell of the embedded default: queues in the memory of the one process that everything runs in."""

# mypy: allow-untyped-calls
# Dramatiq's consumers have no annotations.

from collections import deque
from collections.abc import Iterable
from queue import Queue
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker, _StubConsumer
from dramatiq.common import iter_queue

from synthralos.broker.base import DoorbellBroker


class MemoryDoorbellBroker(DoorbellBroker, StubBroker):
    """Dramatiq's `StubBroker`, fit for use: it keeps no dead letters and loses nothing when a worker stops."""

    def __init__(self, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(middleware=middleware)

    def declare_queue(self, queue_name: str) -> None:
        """Have workers consume the queue."""
        self._make(queue_name)
        self._let_consume(queue_name)

    def enqueue(self, message: "dramatiq.Message[Any]", *, delay: int | None = None) -> "dramatiq.Message[Any]":
        """Put the message into its queue, whether or not anybody consumes it yet."""
        self._make(message.queue_name)
        return super().enqueue(message, delay=delay)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 100) -> dramatiq.Consumer:
        """A consumer of the queue. `timeout`: idle wake-up in milliseconds."""
        self._make(queue_name)
        return _Consumer(self.queues[queue_name], deque(maxlen=0), prefetch, timeout)

    def depth(self, queue_name: str) -> int:
        """Messages in the queue."""
        queue: Queue[bytes] | None = self.queues.get(queue_name)
        return 0 if queue is None else queue.qsize()

    def drain(self, queue_name: str) -> "list[dramatiq.Message[Any]]":
        """Take all messages out of a queue that nobody consumes any more."""
        return [dramatiq.Message.decode(data) for data in iter_queue(self.queues[queue_name])]

    def _make(self, queue_name: str) -> None:
        self.queues.setdefault(queue_name, Queue())


class _Consumer(_StubConsumer):
    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        # A worker that stops gives back what it had prefetched; Dramatiq's stub would drop it.
        for message in messages:
            self.queue.put(message.encode())
            self.queue.task_done()
            self.prefetch_semaphore.release()
