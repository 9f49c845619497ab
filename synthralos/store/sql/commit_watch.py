"""What a group commit watches on its loop: how long its callers have waited, and how long a flush takes.

One timer each, whatever the number of items; both hold while the committing threads are stuck.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from synthralos.store.sql.commit_lanes import Lane
from synthralos.store.sql.commit_parts import Entry
from synthralos.telemetry.outages import Reminder

log = logging.getLogger(__name__)


class Deadlines:
    """Entries in the order of their deadlines, by the loop's clock, which is that of their coming."""

    def __init__(self, give_up: Callable[[Sequence[Entry]], None]) -> None:
        self._give_up = give_up
        self._entries: deque[Entry] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entry: Entry, loop: asyncio.AbstractEventLoop) -> None:
        """Give this one up at its deadline."""
        self._entries.append(entry)
        if self._timer is None:
            self._timer = loop.call_at(entry.deadline, self._look, loop)

    def prune(self) -> None:
        """Forget those whose callers were told."""
        while self._entries and self._entries[0].done is None:
            self._entries.popleft()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.prune()
        now, late = loop.time(), []
        while self._entries and self._entries[0].deadline <= now:
            late.append(self._entries.popleft())
        if late:
            self._give_up(late)
        if self._entries and self._timer is None:
            self._timer = loop.call_at(self._entries[0].deadline, self._look, loop)

    def cancel(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()


class Watchdog:
    """Says of a flush that it is stuck, at once and once a minute, and tries to end it."""

    def __init__(
        self,
        name: str,
        lanes: Sequence[Lane],
        needed: Callable[[], bool],
        stuck_after: float,
        abort: Callable[[], None] | None,
    ) -> None:
        """`needed` says whether there is anything to watch; `abort` is called on the loop and must not block."""
        self._name = name
        self._lanes = lanes
        self._needed = needed
        self._stuck_after = stuck_after
        self._abort = abort
        self._timer: asyncio.TimerHandle | None = None
        self._said: dict[tuple[float, int], Reminder] = {}

    @property
    def sleeps(self) -> bool:
        """Whether it has to be woken."""
        return self._timer is None

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Something is about to be flushed."""
        self._timer = loop.call_later(self._stuck_after, self._look, loop)

    def cancel(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        flushes = {flush for lane in self._lanes if (flush := lane.flushing) is not None}
        self._said = {flush: reminder for flush, reminder in self._said.items() if flush in flushes}
        for flush in flushes:
            if now - flush[0] >= self._stuck_after and self._said.setdefault(flush, Reminder()).due(now):
                self._say(now - flush[0], flush[1])
        self._timer = None
        if flushes or self._needed():
            young = [flush[0] for flush in flushes - self._said.keys()]
            self._timer = loop.call_later(self._stuck_after - (now - min(young, default=now)), self._look, loop)

    def _say(self, seconds: float, items: int) -> None:
        log.error("%s: a write of %d items has taken %.0f seconds", self._name, items, seconds)
        if self._abort is not None:
            self._abort()
