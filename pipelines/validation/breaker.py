"""A breaker: who failed again and again is left alone for a while, and then asked once before all ask again."""

import time
from collections.abc import Callable

FAILURES = 3
"""In a row: so many open the breaker."""

PAUSE = 2.0
"""Seconds that nobody is asked at first; twice as long after each probe that failed."""

LONGEST_PAUSE = 30.0


class Breaker:
    """Lives on one thread. Open, it lets one probe through at the end of each pause; a probe that works closes it.

    A probe whose end nobody tells is a failed one: the next comes a pause later.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = PAUSE
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether all but probes are turned away."""
        return self._open_until is not None

    def admits(self) -> bool:
        """Whether to ask now. Where it is open, whoever hears True is the probe, and has to say how it went."""
        if self._open_until is None:
            return True
        now = self._clock()
        if now < self._open_until:
            return False
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._open_until = now + self._pause
        return True

    def worked(self) -> None:
        """An answer came."""
        self._failures, self._pause, self._open_until = 0, PAUSE, None

    def failed(self) -> None:
        """No answer came, or one of no use."""
        self._failures += 1
        if self._open_until is None and self._failures >= FAILURES:
            self._open_until = self._clock() + self._pause
