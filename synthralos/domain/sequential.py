"""Sequential tests: evidence for a change is summed up as it comes, and an alarm is a sum that health hardly reaches.

A CUSUM of log likelihood ratios (Page 1954; Lorden 1971) is the quickest test for a change at a given rate of false
alarms. Its threshold needs the rate at which healthy traffic gets near it, which no formula knows for real traffic: so
each test learns that from its own excursions, the stretches between two zeros. The peaks of excursions have an
exponential tail (a large deviation), with a rate of 1 where the model is right and less where it is not.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, TypeVar

Learned = TypeVar("Learned")

NEAR = 3.0
"""Evidence, in nats, from which on an excursion counts for the tail."""

LEAST, MOST = 12.0, 60.0
"""Bounds of a threshold, in nats."""

_A_LOOK = 0.4
"""Share of the threshold that one look may add: three looks at least have to agree, so a hiccup is no alarm."""

_MEMORY = 7 * 86_400.0
"""Seconds after which what is known of a tail counts half."""

_TRUSTED = 20.0
"""Excursions that the assumed tail counts for."""

_ASSUMED_A_DAY = 2_000.0
"""Excursions near an alarm that are assumed a day before any was seen."""

_DAY = 86_400.0


@dataclass(slots=True)
class Tail:
    """Excursions that came near an alarm in health: how many, by how much, in how many seconds. All decay."""

    count: float = 0.0
    excess: float = 0.0
    seconds: float = 0.0

    def passed(self, seconds: float) -> None:
        """Time in health went by."""
        kept = 0.5 ** (seconds / _MEMORY)
        self.count *= kept
        self.excess *= kept
        self.seconds = self.seconds * kept + seconds

    def add(self, peak: float) -> None:
        """An excursion is over, and was no alarm; or an alarm turned out to be none."""
        self.count += 1
        self.excess += peak - NEAR

    def threshold(self, a_day: float) -> float:
        """The evidence that health reaches so many times a day, in nats."""
        assumed_seconds = _TRUSTED / _ASSUMED_A_DAY * _DAY
        rate = (self.count + _TRUSTED) / (self.seconds + assumed_seconds) * _DAY
        slope = min(1.0, (self.count + _TRUSTED) / (self.excess + _TRUSTED))
        return min(MOST, max(LEAST, NEAR + math.log(max(1.0, rate / a_day)) / slope))


@dataclass(slots=True)
class Cusum:
    """The evidence so far, for how many seconds it has been rising from zero, and how high it was.

    `before`: the seconds of the excursion that ended with the last look.
    """

    value: float = 0.0
    seconds: float = 0.0
    peak: float = 0.0
    before: float = 0.0

    @property
    def calm(self) -> bool:
        """Whether nothing points to a change."""
        return self.value <= NEAR

    def add(self, evidence: float, seconds: float, threshold: float, tail: Tail) -> bool:
        """Add the evidence of a look at so many seconds; whether it is an alarm now."""
        self.value = max(0.0, self.value + min(evidence, _A_LOOK * threshold))
        self.before = 0.0
        if self.value == 0.0:
            if self.peak > NEAR:
                tail.add(self.peak)
            self.before, self.seconds, self.peak = self.seconds, 0.0, 0.0
        else:
            self.seconds += seconds
            self.peak = max(self.peak, self.value)
        if self.calm:
            tail.passed(seconds)
        return self.value >= threshold

    def restart(self) -> None:
        """Forget the evidence."""
        self.value = self.seconds = self.peak = self.before = 0.0


def numbers(learned: Any) -> dict[str, float]:
    """A flat dataclass of floats as it is stored."""
    return {each.name: getattr(learned, each.name) for each in fields(learned)}


def restored(kind: type[Learned], stored: dict[str, float] | None) -> Learned:
    """The inverse of `numbers`; members that are unknown or missing are ignored: another release wrote it."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # only dataclasses are stored
    return kind(**{name: float(value) for name, value in (stored or {}).items() if name in names})
