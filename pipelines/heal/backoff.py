"""How long to wait before trying again."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: `random_between(0, min(cap, base * factor ** retry))`.

    Source: AWS Architecture Blog, "Exponential Backoff and Jitter" (Marc Brooker, 2015), "Full Jitter".
    `base` and `cap` are in seconds.
    """

    base: float
    factor: float = 2.0
    cap: float = 60.0

    def ceiling(self, retry: int) -> float:
        """The longest wait before retry number `retry` (0 is the first), in seconds."""
        try:
            return min(self.cap, self.base * self.factor**retry)
        except OverflowError:
            return self.cap

    def seconds(self, retry: int, rng: Random) -> float:
        """A wait before retry number `retry` (0 is the first), in seconds."""
        return rng.uniform(0.0, self.ceiling(retry))
