"""How long to wait before trying again."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: `random_between(least, min(cap, base * factor ** retry))`.

    Source: AWS Architecture Blog, "Exponential Backoff and Jitter" (Marc Brooker, 2015), "Full Jitter".
    `base`, `cap` and `least` are in seconds.
    """

    base: float
    factor: float = 2.0
    cap: float = 60.0
    least: float = 0.0

    def ceiling(self, retry: int) -> float:
        """The longest wait before retry number `retry` (0 is the first), in seconds."""
        try:
            return min(self.cap, self.base * self.factor**retry)
        except OverflowError:
            return self.cap

    def seconds(self, retry: int, rng: Random) -> float:
        """A wait before retry number `retry` (0 is the first), in seconds: `least` at least."""
        return rng.uniform(self.least, max(self.least, self.ceiling(retry)))
