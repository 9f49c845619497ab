"""What one destination's shipper has read of traces, for the shippers of the other destinations of this process.

All destinations are owed a trace at the same moment, and are shipped the oldest first: so what one has read the others
want next. What is shared is as new as what they would read: a change of a trace makes it owed anew, which shows in what
a shipper claims after it (`Owed.unchanged`, `Owed.since`), and one that comes after the claim has it owed once more.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.analyze.protocol import Trace
from synthralos.domain.exports import Owed

KEPT_FOR = 10.0
"""Seconds at most: what is erased or removed meanwhile is owed to nobody, and is not to be kept here."""

MOST_BYTES = 8_000_000
"""Of traces, as JSON; in memory they are several times as large."""

Key = tuple[str, datetime | None]


@dataclass(slots=True)
class Kept:
    """A job's row, and its trace with the ids of other jobs that it names, once somebody has made it."""

    job: Mapping[str, Any]
    until: float
    left: int
    trace: Trace | None = None
    others: frozenset[str] = frozenset()
    size: int = 0


class SharedTraces:
    """`turn` is held by whoever reads, and uses this."""

    def __init__(self, destinations: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`destinations` that share what is read; `clock` in seconds."""
        self.turn = threading.Lock()
        self._others, self._clock = destinations - 1, clock
        self._kept: dict[Key, Kept] = {}
        self._size = 0

    def of(self, owed: Owed) -> Kept | None:
        """What is kept of what is owed, as it is now."""
        return self._kept.get((owed.job_id, owed.since)) if owed.unchanged else None

    def keep(self, owed: Owed, job: Mapping[str, Any]) -> None:
        """A job was read, after it was claimed."""
        if self._others > 0 and owed.unchanged:
            self._drop((owed.job_id, owed.since))
            self._kept[owed.job_id, owed.since] = Kept(job, self._clock() + KEPT_FOR, self._others)

    def add(self, owed: Owed, trace: Trace, others: frozenset[str], size: int) -> None:
        """Its trace was made; `size`: its bytes as JSON."""
        kept = self.of(owed)
        if kept is not None and size <= MOST_BYTES / 10:
            self._size += size - kept.size
            kept.trace, kept.others, kept.size = trace, others, size

    def taken(self, owed: Owed) -> None:
        """One of the others has it: after the last of them it is not kept any longer."""
        kept = self.of(owed)
        if kept is not None:
            kept.left -= 1
            if kept.left <= 0:
                self._drop((owed.job_id, owed.since))

    def tidy(self) -> None:
        """Drop what was kept for long, and of too much the oldest."""
        now = self._clock()
        for key, kept in list(self._kept.items()):
            if kept.until > now and self._size <= MOST_BYTES:
                break
            self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        self._size -= 0 if kept is None else kept.size
