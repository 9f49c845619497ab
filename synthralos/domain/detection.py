"""Detectors of incidents: whether what is seen of a subject fits what it has been like, look after look.

Each detector has a baseline of its own. It learns what it saw when the evidence is back at zero, nothing of what led to
an alarm, and forgets slowly. So daily swings and drifts become the new baseline, and a change does not. Pure:
series go in, readings come out.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from synthralos.domain.sequential import Cusum, Tail, numbers, restored

FALSE_ALARMS = 0.02
"""False alarms of one detector that are allowed a day, by its model; real traffic and three detectors make it more."""

SLOWER, DEARER = 2.5, 1.5
"""The factors that are looked for in seconds and in prices; from half of them on (as logarithms) there is evidence."""

HALF_LIFE = 3_600.0
"""Seconds after which a call counts half for the baseline, where there are many."""

HALF_CALLS = 1_000.0
"""Calls after which one counts half, where there are few: so that a quiet subject keeps a baseline."""

WARM = 100.0
"""Calls from which on a baseline is its subject's own."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector makes of a look. `measured`, `baseline` and `limit` are in the subject's unit.

    `limit`: the level from which on a look is evidence of a change. `calls` and `seconds` are those of the evidence.
    `score` of `threshold` nats are an alarm.
    """

    alarm: bool
    measured: float
    baseline: float
    limit: float
    calls: float
    seconds: float
    score: float
    threshold: float

    def numbers(self) -> dict[str, float]:
        """As evidence of an incident."""
        found = asdict(self)
        del found["alarm"]
        return {name: round(value, 6) for name, value in found.items()}


@dataclass(slots=True)
class Shares:
    """Calls and failures, and how far looks scatter beyond chance. What is learned decays; what is pending does not."""

    calls: float = 0.0
    failures: float = 0.0
    looks: float = 0.0
    scatter: float = 0.0


_PRIOR_CALLS, _PRIOR_FAILURES = 50.0, 2.0
_LEAST_SHARE = 0.005
_RISE, _TIMES = 0.05, 3.0
"""A change is a share of failures that is higher by 5 % of the calls at least, and three times as high."""

_UNKNOWN = 0.3
"""The share of failures that is a change while there is no baseline yet."""

_PRIOR_LOOKS = 10.0
_FARTHEST = 50.0
"""Squared deviation of a look, in units of chance, that is learned at most."""


@dataclass(slots=True)
class FailureDetector:
    """Whether more calls fail than usual: likelihood ratios of binomial counts, divided by how far looks scatter."""

    learned: Shares = field(default_factory=Shares)
    tail: Tail = field(default_factory=Tail)
    cusum: Cusum = field(default_factory=Cusum)
    pending: Shares = field(default_factory=Shares)

    def look(self, calls: float, failures: float, seconds: float, a_day: float) -> Reading:
        """So many of the calls of so many seconds failed; `a_day` false alarms are allowed."""
        usual, sought = self._levels()
        threshold = self.tail.threshold(a_day)
        scatter = (self.learned.scatter + _PRIOR_LOOKS) / (self.learned.looks + _PRIOR_LOOKS)
        failed, answered = math.log(sought / usual), math.log((1 - sought) / (1 - usual))
        evidence = (failures * failed + (calls - failures) * answered) / max(1.0, scatter)
        alarm = self.cusum.add(evidence, seconds, threshold, self.tail)
        self._note(calls, failures, usual)
        measured = self.pending.failures / max(1.0, self.pending.calls)
        limit, seen = -answered / (failed - answered), self.pending.calls
        if self.cusum.value == 0.0:
            _absorb(self.learned, self.pending, self.pending.calls, seconds + self.cusum.before)
            self.pending = Shares()
        return Reading(alarm, measured, usual, limit, seen, self.cusum.seconds, self.cusum.value, threshold)

    def restart(self) -> None:
        """Forget the evidence, and learn nothing from it."""
        self.cusum.restart()
        self.pending = Shares()

    def accept(self, reading: Reading) -> None:
        """What was measured is how it is now; if it was none, the tail of the test learns that."""
        self.tail.add(max(reading.score, reading.threshold))
        self.learned = Shares(2 * WARM, 2 * WARM * reading.measured)
        self.restart()

    def _levels(self) -> tuple[float, float]:
        """The usual share of failures, and the one that is looked for."""
        usual = (self.learned.failures + _PRIOR_FAILURES) / (self.learned.calls + _PRIOR_CALLS)
        usual = min(0.9, max(_LEAST_SHARE, usual))
        sought = max(usual + _RISE, _TIMES * usual) if usual < 0.3 else usual + (1 - usual) / 2
        return usual, min(0.98, max(sought, _UNKNOWN) if self.learned.calls < WARM else sought)

    def _note(self, calls: float, failures: float, usual: float) -> None:
        expected, pending = calls * usual * (1 - usual), self.pending
        pending.calls += calls
        pending.failures += failures
        if expected:
            weight = min(1.0, expected)
            pending.looks += weight
            pending.scatter += weight * min(_FARTHEST, (failures - calls * usual) ** 2 / expected)

    def stored(self) -> dict[str, Any]:
        """What survives a restart: what was learned."""
        return {"learned": numbers(self.learned), "tail": numbers(self.tail)}

    @classmethod
    def restore(cls, stored: Mapping[str, Any]) -> "FailureDetector":
        """The inverse of `stored`."""
        return cls(restored(Shares, stored.get("learned")), restored(Tail, stored.get("tail")))


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the calls of a look: how many, x, y, and their products."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0


@dataclass(slots=True)
class Line:
    """Sums of y by x, and how far the means of looks scatter beyond what calls explain. `above`: y over the usual."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0
    looks: float = 0.0
    scatter: float = 0.0
    above: float = 0.0


_SPREAD, _LOOK_SPREAD = 0.3, 0.05
"""What one call scatters before calls were seen, and what means of looks scatter at least; both as logarithms."""

_RIDGE = 5.0
_UNUSUAL = 4.0
"""Standard deviations of the level itself, which wanders and is alike from look to look, that are no evidence."""


@dataclass(slots=True)
class LevelDetector:
    """Whether a logarithm y (of seconds, of a price) is higher than usual for its x, by the factor `times`.

    x is what may explain y, such as the length of the answers: a straight line is learned, and what is left is tested.
    """

    times: float
    learned: Line = field(default_factory=Line)
    tail: Tail = field(default_factory=Tail)
    cusum: Cusum = field(default_factory=Cusum)
    pending: Line = field(default_factory=Line)

    def look(self, sums: Sums, seconds: float, a_day: float) -> Reading:
        """The sums over the calls of so many seconds; measured, baseline and limit are factors of the usual level."""
        line, shift, threshold = self.learned, math.log(self.times), self.tail.threshold(a_day)
        fit = _fitted(line)
        between = (line.scatter + _PRIOR_LOOKS * _LOOK_SPREAD**2) / (line.looks + _PRIOR_LOOKS)
        between = max(between, _LOOK_SPREAD**2)
        limit = max(shift / 2, _UNUSUAL * math.sqrt(between))
        evidence = 0.0
        if sums.n:
            above = (sums.y - fit.slope * sums.x) / sums.n - fit.middle if line.n else 0.0
            chance = fit.spread**2 / sums.n
            if line.n >= WARM:
                evidence = shift / (chance + between) * (above - limit)
            self._note(sums, above, chance)
        alarm = self.cusum.add(evidence, seconds, threshold, self.tail)
        measured, seen = math.exp(self.pending.above / max(1.0, self.pending.n)), self.pending.n
        if self.cusum.value == 0.0:
            _absorb(line, self.pending, self.pending.n, seconds + self.cusum.before)
            self.pending = Line()
        return Reading(alarm, measured, 1.0, math.exp(limit), seen, self.cusum.seconds, self.cusum.value, threshold)

    def restart(self) -> None:
        """Forget the evidence, and learn nothing from it."""
        self.cusum.restart()
        self.pending = Line()

    def accept(self, reading: Reading) -> None:
        """What was measured is how it is now; if it was none, the tail of the test learns that."""
        self.tail.add(max(reading.score, reading.threshold))
        line, rise = self.learned, math.log(max(reading.measured, 1e-6))
        line.yy += 2 * rise * line.y + rise * rise * line.n
        line.xy += rise * line.x
        line.y += rise * line.n
        self.restart()

    def _note(self, sums: Sums, above: float, chance: float) -> None:
        pending = self.pending
        for name in ("n", "x", "y", "xx", "xy", "yy"):
            setattr(pending, name, getattr(pending, name) + getattr(sums, name))
        tells = _LOOK_SPREAD**2 / (_LOOK_SPREAD**2 + chance)  # a look with few calls says little of the level itself
        pending.looks += tells
        pending.scatter += tells * min(above**2 - chance, 1.0)
        pending.above += above * sums.n

    def stored(self) -> dict[str, Any]:
        """What survives a restart: what was learned."""
        return {"learned": numbers(self.learned), "tail": numbers(self.tail)}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], times: float) -> "LevelDetector":
        """The inverse of `stored`."""
        return cls(times, restored(Line, stored.get("learned")), restored(Tail, stored.get("tail")))


class _Fit(NamedTuple):
    """The slope of y by x, what y is without x, and how far calls scatter around that."""

    slope: float
    middle: float
    spread: float


def _fitted(line: Line) -> _Fit:
    if line.n < 1.0:
        return _Fit(0.0, 0.0, _SPREAD)
    x, y = line.x / line.n, line.y / line.n
    varies = max(0.0, line.xx - line.n * x * x)
    slope = max(0.0, line.xy - line.n * x * y) / (varies + _RIDGE)
    left = max(0.0, line.yy - line.n * y * y - slope**2 * varies)
    spread = math.sqrt((left + _PRIOR_LOOKS * _SPREAD**2) / (line.n + _PRIOR_LOOKS))
    return _Fit(slope, y - slope * x, spread)


def _absorb(learned: Any, pending: Any, calls: float, seconds: float) -> None:
    """Learn what was pending. Forgotten by time, but no faster than calls come."""
    kept = 0.5 ** min(seconds / HALF_LIFE, calls / HALF_CALLS)
    for name in type(learned).__slots__:
        setattr(learned, name, getattr(learned, name) * kept + getattr(pending, name))
