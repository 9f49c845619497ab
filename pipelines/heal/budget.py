"""How many calls may be repeated at a deployment, whoever repeats them: an outage must not be made worse by retries.

Each call that is made allows a tenth of a retry, and each second one. Source of the figures: Finagle's retry budgets
(20 % and 10 a second by default), made smaller because a call is paid for. One budget for each worker process.
"""

import time
from collections.abc import Callable

A_CALL, A_SECOND = 0.1, 1.0
"""Retries that a call, and that a second, allows."""

SAVED = 20.0
"""Retries that a deployment has saved at most; it begins with as many."""


class RetryBudget:
    """Used by the loop of the calls alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def called(self, deployment: str) -> None:
        """A call is made there."""
        left, now = self._now(deployment)
        self._left[deployment] = min(SAVED, left + A_CALL), now

    def take(self, deployment: str) -> bool:
        """Take a retry; False where none is left."""
        left, now = self._now(deployment)
        if left < 1.0:
            return False
        self._left[deployment] = left - 1.0, now
        return True

    def reserve(self, deployment: str) -> float:
        """Take a retry now, or one of those to come: the seconds until it may be made."""
        left, now = self._now(deployment)
        self._left[deployment] = left - 1.0, now
        return max(0.0, (1.0 - left) / A_SECOND)

    def _now(self, deployment: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._left.get(deployment, (SAVED, now))
        return min(SAVED, left + (now - at) * A_SECOND), now
