"""Slots: how much may be under way in this process at once, in jobs and in bytes of their requests.

Bulk jobs never take the share that is kept for interactive ones. Threads wait here, so that what a worker cannot take
stays with the broker for others.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synthralos.domain.states import Lane

RESERVED = 10
"""One part in so many is kept for interactive jobs, and at least one slot."""

BRIEF = 0.25
"""Seconds that a bulk thread waits where as many wait as may: the next thread that is free may serve a person."""

_PARTS = 4
"""A batch is at most one part in so many of the bytes that its lane may have."""

_FIRST_GUESS = 64 * 1024
"""Bytes that a job is taken to have before any was seen."""


class Slots:
    """The slots of one process. Thread-safe."""

    def __init__(self, count: int, most_bytes: int, *, bulk_waiters: int = 6) -> None:
        """`bulk_waiters`: so many threads may wait for the full time-out with bulk jobs."""
        self.count = count
        reserved = min(max(1, count // RESERVED), count - 1)
        self._counts = {Lane.INTERACTIVE: count, Lane.BULK: count - reserved}
        self._bytes = {Lane.INTERACTIVE: most_bytes, Lane.BULK: most_bytes - most_bytes // RESERVED}
        self._bulk_waiters = bulk_waiters
        self._used: Counter[Lane] = Counter()
        self._weights: Counter[Lane] = Counter()
        self._waiting = 0
        self._guess = float(_FIRST_GUESS)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        """Slots that are taken."""
        return self._used.total()

    @property
    def bytes_used(self) -> int:
        """Bytes of the jobs that are under way, as far as they are known."""
        return self._weights.total()

    def most(self, lane: Lane) -> int:
        """The most jobs of the lane that one batch may have, by the size of those before."""
        by_size = int(self._bytes[lane] / _PARTS / self._guess) if self._guess else self.count
        return max(1, min(self._counts[lane], by_size))

    def acquire(self, lane: Lane, count: int, timeout: float) -> "Lease | None":
        """Wait for `count` slots (at most `most(lane)`), `timeout` seconds at most.

        None where there were none in time, or where this process shuts down.
        """
        if count > self._counts[lane]:
            raise ValueError(f"{count} jobs at once do not fit into {self._counts[lane]} slots")
        with self._changed:
            weight = int(self._guess * count)
            if not self._wait(lane, lambda: self._closed or self._fits(lane, count, weight), timeout) or self._closed:
                return None
            return self._lend(lane, count, weight)

    def overdraw(self, lane: Lane, count: int) -> "Lease":
        """Take `count` slots at once, also where none is free: what comes after waits for longer."""
        with self._changed:
            return self._lend(lane, count, int(self._guess * count))

    def release(self, lane: Lane, count: int, weight: int) -> None:
        """Give back `count` slots and `weight` bytes."""
        with self._changed:
            self._used[lane] -= count
            self._weights[lane] -= weight
            self._changed.notify_all()

    def weigh(self, lane: Lane, guessed: int, sizes: Sequence[int]) -> None:
        """Put the sizes of jobs in the place of what was guessed for them, and guess better the next time."""
        with self._changed:
            self._weights[lane] += sum(sizes) - guessed
            if sizes:
                mean = sum(sizes) / len(sizes)
                self._guess = max(mean, 0.9 * self._guess + 0.1 * mean)
            self._changed.notify_all()

    def close(self) -> None:
        """Give no more slots; wakes those who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, lane: Lane, count: int, weight: int) -> bool:
        if self._used[lane] + count > self._counts[lane] or self.used + count > self.count:
            return False
        if not self._used[lane]:
            return True  # what is larger than all bytes together has to pass alone
        return (
            self._weights[lane] + weight <= self._bytes[lane]
            and self.bytes_used + weight <= self._bytes[Lane.INTERACTIVE]
        )

    def _wait(self, lane: Lane, ready: Callable[[], bool], timeout: float) -> bool:
        if lane is not Lane.BULK:
            return self._changed.wait_for(ready, timeout)
        if self._waiting >= self._bulk_waiters:
            return self._changed.wait_for(ready, min(timeout, BRIEF))
        self._waiting += 1
        try:
            return self._changed.wait_for(ready, timeout)
        finally:
            self._waiting -= 1

    def _lend(self, lane: Lane, count: int, weight: int) -> "Lease":
        self._used[lane] += count
        self._weights[lane] += weight
        return Lease(self, lane, count, weight)


@dataclass(slots=True)
class Lease:
    """Slots that a batch has taken before it knows its jobs."""

    _slots: Slots
    lane: Lane
    count: int
    _weight: int

    def keep(self, sizes: Sequence[int]) -> None:
        """The jobs of these sizes keep a slot each, and give it back one by one; the others are given back."""
        self._slots.weigh(self.lane, self._weight, sizes)
        self._slots.release(self.lane, self.count - len(sizes), 0)
        self.count = self._weight = 0

    def give_back(self) -> None:
        """Give back what was not kept. Doing it twice does no harm."""
        if self.count:
            self._slots.release(self.lane, self.count, self._weight)
            self.count = self._weight = 0
