"""Forecasts: a level that rises steadily, and will soon be over its limit. Told ahead; nothing is repaired for it.

A straight line is fitted to the last minutes, older ones counting less. It has to be steep beside what the level
scatters around it, to hold for a while, and to reach the limit soon.
"""

import math
from dataclasses import dataclass

EVERY = 60.0
"""Seconds between two points of a trend: levels of single looks are too much alike."""

AHEAD = 1_800.0
"""Seconds within which the limit has to be reached."""

STEEP = 5.0
"""The slope has to be so many of its standard errors."""

_HALF_LIFE = 900.0
_LEAST_POINTS = 8
_LASTING = 3
"""Points in a row that a forecast has to hold, and that it has to fail to be taken back."""

_LEAST_SHARE = 0.25
"""The share of the limit that has to be reached already."""


@dataclass(slots=True)
class Trend:
    """Decaying sums over time (in seconds, from the newest point) and level. `holds` counts points, up and down."""

    n: float = 0.0
    t: float = 0.0
    v: float = 0.0
    tt: float = 0.0
    tv: float = 0.0
    vv: float = 0.0
    points: int = 0
    holds: int = 0
    foreseen: bool = False

    def add(self, level: float, limit: float, seconds: float) -> None:
        """The level so many seconds after the last point, and the limit that it must not reach."""
        kept = 0.5 ** (seconds / _HALF_LIFE)
        self.tt = kept * (self.tt - 2 * seconds * self.t + seconds * seconds * self.n)
        self.tv = kept * (self.tv - seconds * self.v)
        self.t = kept * (self.t - seconds * self.n)
        self.n, self.v, self.vv = kept * self.n + 1.0, kept * self.v + level, kept * self.vv + level * level
        self.points += 1
        self._judge(self.reaches(limit) is not None)

    def reaches(self, limit: float) -> float | None:
        """Seconds until the limit is reached; None: it is not, or not soon, or nobody can tell."""
        level, slope, score = self.fitted()
        if self.points < _LEAST_POINTS or score < STEEP or not _LEAST_SHARE * limit <= level < limit:
            return None
        left = (limit - level) / slope
        return left if left <= AHEAD else None

    def fitted(self) -> tuple[float, float, float]:
        """The level now, how much it rises a second, and how many standard errors that is."""
        if self.n < 2.0:
            return self.v / max(1.0, self.n), 0.0, 0.0
        t, v = self.t / self.n, self.v / self.n
        spread = self.tt - self.n * t * t
        if spread <= 0.0:
            return v, 0.0, 0.0
        slope = (self.tv - self.n * t * v) / spread
        left = max(0.0, self.vv - self.n * v * v - slope * slope * spread)
        error = math.sqrt(left / max(1.0, self.n - 2.0) / spread) + 1e-12
        return v - slope * t, slope, slope / error

    def _judge(self, reaches: bool) -> None:
        if reaches == self.foreseen:
            self.holds = 0
            return
        self.holds += 1
        if self.holds >= _LASTING:
            self.foreseen, self.holds = reaches, 0
