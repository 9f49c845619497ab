"""What our three Dramatiq brokers have in common.

Dramatiq gives every queue a delay queue with a consumer thread of its own, and a dead-letter queue. We
never delay in the broker (`run_at` is in the database), and a doorbell that failed is worth nothing, so
both are left out. And Dramatiq lets a worker consume every queue that its process has published to; here
a worker consumes only the queues of the actors that were declared.
"""

from abc import ABC, abstractmethod
from typing import Any

import dramatiq

from synthralos.telemetry.outages import Outages


class DoorbellBroker(dramatiq.Broker, ABC):
    """A Dramatiq broker without delays and dead letters that can count what waits.

    `outages` hears of consumers that cannot consume; whoever builds the process puts its own there.
    """

    def __init__(self, **options: Any) -> None:
        self._consumed: set[str] = set()
        self.outages = Outages()
        super().__init__(**options)

    @abstractmethod
    def depth(self, queue_name: str) -> int | None:
        """Messages that wait in the queue and were not fetched by a worker; None when that cannot be asked."""

    def reach(self) -> None:
        """Ask the server whether it is there and lets us in; raises the library's error that tells why not."""

    def hang_up(self) -> None:
        """Give back what the calling thread holds of the broker (a connection); it may go on using the broker."""

    def enqueue(self, message: "dramatiq.Message[Any]", *, delay: int | None = None) -> "dramatiq.Message[Any]":
        """Publish `message`; raises `ValueError` for a delayed one."""
        if delay is not None:
            raise ValueError("messages cannot be delayed: set the job's run_at instead")
        return super().enqueue(message)

    def get_declared_queues(self) -> set[str]:
        """The queues that a worker on this broker consumes."""
        return self._consumed.copy()

    def flush_all(self) -> None:
        """Drop the messages of all declared queues."""
        for queue_name in self._consumed:
            self.flush(queue_name)

    def _let_consume(self, queue_name: str) -> None:
        """Have workers consume the queue, those that run already too."""
        if queue_name not in self._consumed:
            self.emit_before("declare_queue", queue_name)
            self._consumed.add(queue_name)
            self.emit_after("declare_queue", queue_name)
