"""What everybody who puts a job at a stage knows of the broker: one doorbell."""

from collections.abc import Sequence
from typing import Any, Protocol

import dramatiq

from synthralos.domain.states import Lane, Stage
from synthralos.telemetry.outages import Outages


class Carrier(Protocol):
    """What brings a doorbell's messages to a worker: a Dramatiq broker, or the database.

    `outages` is told of what cannot be used; whoever builds the process puts its own there.
    """

    outages: Outages

    def enqueue(self, message: "dramatiq.Message[Any]") -> object:
        """Publish the message; raises whatever a driver raises."""
        ...

    def depth(self, queue_name: str) -> int | None:
        """Messages that wait in the queue; None when that cannot be asked. Never raises."""
        ...

    def hang_up(self) -> None:
        """Give back what the calling thread holds; it may go on using the carrier."""
        ...


class Doorbell(Protocol):
    """Tells the workers of a stage that jobs wait for them. Thread-safe.

    A ring may get lost; whoever rings has committed the jobs to the database first.
    """

    @property
    def healthy(self) -> bool:
        """Whether the last ring got through; True while nothing has been rung."""
        ...

    def ring(self, stage: Stage, lane: Lane, ids: Sequence[str]) -> None:
        """Say that the jobs `ids` have work at `stage`. Never blocks, never raises."""
        ...

    def depth(self, stage: Stage, lane: Lane) -> int | None:
        """Messages (of up to 256 ids) that wait in the broker; None when it cannot be asked. Never raises."""
        ...

    def close(self, timeout: float) -> None:
        """Ring what is still to be rung, for at most `timeout` seconds, then stop."""
        ...
