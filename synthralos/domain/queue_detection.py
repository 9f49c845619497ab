"""Whether a queue's jobs wait longer than usual, or do not move at all: levels that have to last, not evidence summed.

How long the head of a queue has waited is alike from look to look, so summing it up as if looks were independent would
cry wolf. A limit far above what is usual, held for a while, does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthralos.domain.detection import Reading
from synthralos.domain.sequential import numbers, restored
from synthralos.domain.states import Lane

FLOORS: Mapping[Lane, float] = {Lane.INTERACTIVE: 10.0, Lane.BULK: 3_600.0}
"""Seconds that a job may wait to be taken on each lane before that is worth an incident, whatever is usual."""

LASTING = 10.0
"""Seconds for which a level has to be beyond its limit."""

_HALF_LIFE = 3 * 86_400.0
"""Seconds after which the highest wait that was usual counts half."""

_TIMES = 2.0
"""The limit: so many times the highest wait that was usual."""

_OVER = 0.1
"""A rise is over, and may be learned, when the wait is back at this share of its peak."""


@dataclass(slots=True)
class Usual:
    """What is learned of a queue: the highest wait that came and went, in seconds. It decays."""

    high: float = 0.0


@dataclass(slots=True)
class WaitDetector:
    """Whether the oldest job of a queue has waited longer than usual, for a while."""

    floor: float
    learned: Usual = field(default_factory=Usual)
    beyond: float = 0.0
    peak: float = 0.0

    def look(self, oldest: float, count: float, seconds: float) -> Reading:
        """The head of `count` queued jobs has waited for `oldest` seconds; the last look was `seconds` ago."""
        usual, limit = self.learned.high, max(self.floor, _TIMES * self.learned.high)
        self.beyond = self.beyond + seconds if oldest > limit else 0.0
        self.peak = max(self.peak, oldest)
        self.learned.high *= 0.5 ** (seconds / _HALF_LIFE)
        if oldest <= _OVER * self.peak:
            self.learned.high = max(self.learned.high, min(self.peak, limit))
            self.peak = oldest
        return Reading(self.beyond >= LASTING, oldest, usual, limit, count, self.beyond, self.beyond, LASTING)

    def restart(self) -> None:
        """An alarm goes on for as long as it is so."""

    def accept(self, reading: Reading) -> None:
        """What was measured is how it is now."""
        self.learned, self.beyond, self.peak = Usual(reading.measured), 0.0, 0.0

    def stored(self) -> dict[str, Any]:
        """What survives a restart: what was learned."""
        return {"learned": numbers(self.learned)}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], floor: float) -> "WaitDetector":
        """The inverse of `stored`."""
        return cls(floor, restored(Usual, stored.get("learned")))


@dataclass(slots=True)
class StuckDetector:
    """Whether jobs that should move have not moved for a while. No number of them is usual."""

    beyond: float = 0.0

    def look(self, stuck: float, seconds: float) -> Reading:
        """So many jobs are stuck."""
        self.beyond = self.beyond + seconds if stuck else 0.0
        return Reading(self.beyond >= LASTING, stuck, 0.0, 1.0, stuck, self.beyond, self.beyond, LASTING)

    def restart(self) -> None:
        """An alarm goes on for as long as it is so."""

    def accept(self, reading: Reading) -> None:
        """Nothing is learned of jobs that are stuck."""

    def stored(self) -> dict[str, Any]:
        """Nothing is learned."""
        return {}
