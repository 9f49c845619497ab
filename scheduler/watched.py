"""Recurring jobs that look at the database at once when there is reason to, and seldom while there is none."""

import threading
import time
from collections.abc import Callable, Sequence

IDLE = 5.0
"""Seconds between two looks where nothing was heard of: the price of a lost message."""


class Watched:
    """Calls `round` when something was heard of, when the last round left something under way, and once in a while."""

    def __init__(
        self,
        round: Callable[[], bool],
        busy: Callable[[], bool],
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`round` is False where this process does not lead. `busy`: whether the last one left anything under way."""
        self._round, self._busy, self._idle, self._clock = round, busy, idle, clock
        self._heard = threading.Event()
        self._next = 0.0

    def hear(self, _: Sequence[str] | None = None) -> None:
        """There is something to look at."""
        self._heard.set()

    def __call__(self) -> bool:
        """A round, if there is reason for one; False where nothing was looked at."""
        if not (self._heard.is_set() or self._busy() or self._clock() >= self._next):
            return False
        self._heard.clear()
        self._next = 0.0  # a round that fails comes again
        if not self._round():
            return False
        self._next = self._clock() + self._idle
        return True
