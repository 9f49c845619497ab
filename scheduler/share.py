"""A bounded share of the time, for work of the leader's that may lag behind."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_MOST_SAVED = 0.5
"""Seconds of work that may be done at once, after a time in which there was little."""


class Share:
    """Counted from when it is made. For one thread."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`share` of the time, in 0 to 1; `clock` in seconds."""
        self._share, self._clock = share, clock
        self._at = clock()
        self._saved = 0.0

    def earn(self) -> None:
        """Count the time that has gone by."""
        now = self._clock()
        self._saved = min(_MOST_SAVED, self._saved + (now - self._at) * self._share)
        self._at = now

    @property
    def left(self) -> bool:
        """Whether anything may be done."""
        return self._saved >= 0

    def spend(self, act: Callable[[], Result]) -> Result:
        """Do something, and count what it takes."""
        began = self._clock()
        try:
            return act()
        finally:
            self._saved -= self._clock() - began
