"""What a group commit moves about: items that wait, and parts of batches that failed, with what is known of them."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from synthralos.store.sql.retrying import pauses
from synthralos.telemetry.outages import Reminder

log = logging.getLogger(__name__)

TRIES_TOGETHER = 3
"""How often a part is tried as a whole while the database seems to be away; from then on by one item at a time, to
learn whether it is the database, or something in the part that breaks each connection."""

ONE_BY_ONE = 32
"""So many items, or fewer, are not parted further but tried singly: each try with a locked row costs its time-out."""


class Entry:
    """An item that waits to be written. `done` is None from when its caller was told, or gave it up."""

    __slots__ = ("deadline", "done", "item", "size")

    def __init__(self, item: Any, done: Callable[[Any], None], size: int, deadline: float) -> None:
        self.item = item
        self.done: Callable[[Any], None] | None = done
        self.size = size
        self.deadline = deadline


class Pending:
    """What waits for the main lane. The loop adds, the lane takes."""

    def __init__(self, batch: int, max_bytes: int) -> None:
        self._batch = batch
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Put an entry behind the others."""
        self._entries.append(entry)

    def fill(self, entries: list[Entry]) -> list[Entry]:
        """`entries`, and after them as many of those that wait as fit into one batch; those given up are left out."""
        size = sum(entry.size for entry in entries)
        with self._lock:
            while self._entries and len(entries) < self._batch:
                if self._entries[0].done is not None:
                    size += self._entries[0].size
                    if entries and size > self._max_bytes:
                        break
                    entries.append(self._entries[0])
                self._entries.popleft()
        return entries

    def prune(self) -> None:
        """Forget the oldest entries where they were given up: no lane may come for them for a long time."""
        with self._lock:
            while self._entries and self._entries[0].done is None:
                self._entries.popleft()


class Part:
    """Entries that are written together, and what is known of their failures."""

    def __init__(self, entries: list[Entry], name: str) -> None:
        self.entries = entries
        self.tries = 0
        self.pause = 0.0
        self.away = False
        self._name = name
        self._pauses = pauses()
        self._reminder = Reminder()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for any of it."""
        return any(entry.done is not None for entry in self.entries)

    def attempt(self) -> list[Entry]:
        """What to try now: all that somebody still waits for, or one of it, each time another."""
        self.entries = [entry for entry in self.entries if entry.done is not None]
        if self.tries < TRIES_TOGETHER:
            return self.entries
        self.entries = self.entries[1:] + self.entries[:1]
        return self.entries[-1:]

    def failed(self, error: Exception, *, away: bool) -> None:
        """It is to be tried again, `pause` seconds from now; `away`: the database seems to be, which the lane tells."""
        self.away = away
        self.tries += 1
        self.pause = next(self._pauses)
        if not away and self._reminder.due(time.monotonic()):
            log.warning("%s: a write of %d items fails, trying again: %s", self._name, len(self.entries), error)

    def without(self, written: Sequence[Entry]) -> list["Part"]:
        """The rest of it in parts, each about as large as there are parts; where they are few, one by one.

        So of 500 items one that is bad fails three times: with the others, with 21 of them, and alone.
        """
        if len(written) == len(self.entries):
            return []
        gone = set(map(id, written))
        rest = [entry for entry in self.entries if id(entry) not in gone]
        return [Part(entries, self._name) for entries in _chunks(rest)]


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    size = 1 if len(entries) <= ONE_BY_ONE else math.isqrt(len(entries))
    for i in range(0, len(entries), size):
        yield entries[i : i + size]
