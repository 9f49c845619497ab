"""Ids that are still to be rung: one bounded memory, in the order in which they came."""

from collections import deque
from collections.abc import Iterable

from synthralos.broker.queues import BATCH
from synthralos.domain.states import Lane, Stage

Bell = tuple[Stage, Lane]


class PendingIds:
    """At most `limit` ids; when it is full, the oldest of the bell that has most make room. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._waiting: dict[Bell, deque[str]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, bell: Bell, ids: list[str]) -> int:
        """Put `ids` behind the others of their bell; returns how many ids were dropped for it."""
        self._waiting.setdefault(bell, deque()).extend(ids)
        self._count += len(ids)
        return self._shrink()

    def take(self) -> tuple[Bell, list[str]]:
        """Up to `BATCH` ids of one bell; all bells that have some get their turn. `KeyError` when empty."""
        bell = next(iter(self._waiting), None)
        if bell is None:
            raise KeyError("nothing is pending")
        waiting = self._waiting.pop(bell)
        ids = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        if waiting:
            self._waiting[bell] = waiting
        self._count -= len(ids)
        return bell, ids

    def give_back(self, bell: Bell, ids: Iterable[str]) -> int:
        """Put taken `ids` back in front of the others of their bell; returns how many were dropped."""
        waiting = self._waiting.setdefault(bell, deque())
        before = len(waiting)
        waiting.extendleft(reversed(list(ids)))
        self._count += len(waiting) - before
        return self._shrink()

    def clear(self) -> int:
        """Drop everything; returns how many ids that were."""
        dropped, self._count = self._count, 0
        self._waiting.clear()
        return dropped

    def _shrink(self) -> int:
        dropped = 0
        while self._count > self._limit:
            bell = max(self._waiting, key=lambda bell: len(self._waiting[bell]))
            fullest = self._waiting[bell]
            excess = min(self._count - self._limit, len(fullest))
            for _ in range(excess):
                fullest.popleft()
            if not fullest:
                del self._waiting[bell]
            self._count -= excess
            dropped += excess
        return dropped
