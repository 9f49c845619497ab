"""Series of calls as the monitor sees them, look by look: healthy ones of many kinds, and faults. All seeded.

A look is drawn whole: how many calls it has, how many of them failed, and the sums of their logarithms, which are exact
in distribution for normal logarithms. So a day of 100 calls a second takes a second to draw.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from synthralos.domain.detection import Sums

LOOK = 2.0
"""Seconds of a look."""

DAY_LOOKS = int(86_400 / LOOK)

Floats = npt.NDArray[np.float64]


class Look(NamedTuple):
    """What one look sees."""

    calls: int
    failures: int
    latency: Sums


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of healthy traffic. `rate`: calls a second; `failing`: the usual share; `spread` of the log latency.

    `swing`: how far traffic and latency follow the day; `bursts` of traffic and `hiccups` of failures a day; `drift`:
    the factor by which failures and latency grow over a day; `shaky`: how far latency wanders from minute to minute;
    `slow`: the share of calls that take five times as long; `mix`: how far the length of answers follows the day.
    """

    name: str
    rate: float
    failing: float = 0.01
    spread: float = 0.4
    swing: float = 0.0
    bursts: int = 0
    hiccups: int = 0
    drift: float = 1.0
    shaky: float = 0.0
    slow: float = 0.0
    mix: float = 0.0


KINDS = (
    Kind("steady, 100/s", 100.0),
    Kind("steady, 10/s", 10.0),
    Kind("steady, 1/s", 1.0),
    Kind("quiet, 0.1/s", 0.1),
    Kind("quiet, 0.01/s", 0.01),
    Kind("no failures, 20/s", 20.0, failing=0.0),
    Kind("every 12th fails, 10/s", 10.0, failing=0.08),
    Kind("days and nights, 30/s", 30.0, swing=0.9),
    Kind("days and nights, 1/s", 1.0, swing=0.9),
    Kind("bursts, 5/s", 5.0, bursts=40),
    Kind("hiccups, 50/s", 50.0, hiccups=12),
    Kind("hiccups, 2/s", 2.0, hiccups=12),
    Kind("drift, 20/s", 20.0, drift=2.0),
    Kind("drift, 0.5/s", 0.5, drift=2.0),
    Kind("shaky, 50/s", 50.0, shaky=0.1, spread=0.7),
    Kind("shaky, 2/s", 2.0, shaky=0.1, spread=0.7),
    Kind("slow calls among others, 20/s", 20.0, slow=0.05),
    Kind("answers of all lengths, 20/s", 20.0, mix=1.0),
    Kind("all of it, 20/s", 20.0, swing=0.7, bursts=10, hiccups=4, drift=1.3, shaky=0.05, slow=0.02, mix=0.5),
    Kind("all of it, 0.5/s", 0.5, swing=0.7, bursts=10, hiccups=4, drift=1.3, shaky=0.05, slow=0.02, mix=0.5),
)
"""Every kind of healthy traffic that the monitor has to be silent about."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What begins at a look: `failing` is the share of calls that fail then, `slower` the factor of their latency."""

    name: str
    failing: float = 0.0
    slower: float = 1.0


@dataclass(frozen=True, slots=True)
class Series:
    """A series in arrays, a value a look."""

    calls: npt.NDArray[np.int64]
    failures: npt.NDArray[np.int64]
    sums: Floats

    def __iter__(self) -> Iterator[Look]:
        rows = self.sums.tolist()
        for calls, failures, row in zip(self.calls.tolist(), self.failures.tolist(), rows, strict=True):
            yield Look(calls, failures, Sums(*row))


def series(kind: Kind, looks: int, seed: int, fault: Fault | None = None, fault_at: int = 0) -> Series:
    """So many looks of that kind; a fault holds from look `fault_at` on."""
    random = np.random.default_rng(seed)
    hours = (np.arange(looks) * LOOK / 3_600 + random.uniform(0, 24)) % 24
    wave = np.sin(hours / 24 * 2 * math.pi)
    grown = np.linspace(0, math.log(kind.drift), looks)
    traffic = np.log(kind.rate) + kind.swing * (wave - 0.5)
    level = 0.25 * kind.swing * wave + 0.5 * grown + _wandering(random, looks, kind.shaky)
    for begin, length in _spells(random, looks, kind.bursts, 30, 150):
        traffic[begin : begin + length] += math.log(10)
        level[begin : begin + length] += 0.15
    failing = kind.failing * np.exp(grown) + np.zeros(looks)
    for begin, length in _spells(random, looks, kind.hiccups, 1, 2):
        failing[begin : begin + length] += random.uniform(0.05, 0.2)
    if fault is not None:
        failing[fault_at:] = np.maximum(failing[fault_at:], fault.failing)
        level[fault_at:] += math.log(fault.slower)
    calls = random.poisson(np.exp(traffic) * LOOK)
    failures = random.binomial(calls, np.minimum(failing, 1.0))
    return Series(calls, failures, _sums(random, kind, calls - failures, level, 5.0 + kind.mix * wave))


def _sums(
    random: np.random.Generator, kind: Kind, answered: npt.NDArray[np.int64], level: Floats, length: Floats
) -> Floats:
    """Sums over the answered calls: x is the logarithm of the answer's length, y that of the seconds."""
    n = answered.astype(np.float64)
    some, looks = np.maximum(n, 1.0), len(n)
    spread_x, slope = 0.8, 0.7
    slow = random.binomial(answered, kind.slow) if kind.slow else np.zeros(looks)
    noise = random.standard_normal((3, looks))
    x = length + spread_x * noise[0] / np.sqrt(some)
    y = slope * x - 3.5 + level + slow / some * math.log(5) + kind.spread * noise[1] / np.sqrt(some)
    free = 2 * random.standard_gamma(np.maximum(n - 1, 1e-9) / 2, (2, looks)) * (n > 1)
    xx, cross = spread_x**2 * free[0], kind.spread * spread_x * np.sqrt(free[0]) * noise[2]
    slow_spread = slow * (1 - slow / some) * math.log(5) ** 2
    xy, yy = slope * xx + cross, slope**2 * xx + 2 * slope * cross + kind.spread**2 * free[1] + slow_spread
    return np.stack([n, n * x, n * y, xx + n * x * x, xy + n * x * y, yy + n * y * y], axis=1)


def _wandering(random: np.random.Generator, looks: int, far: float) -> Floats:
    """Noise that is alike from look to look, for about a minute."""
    noise = random.standard_normal(looks)
    if not far:
        return np.zeros(looks)
    kept, value, found = 0.97, 0.0, np.empty(looks)
    for number, each in enumerate((far * math.sqrt(1 - kept**2) * noise).tolist()):
        value = kept * value + each
        found[number] = value
    return found


def _spells(random: np.random.Generator, looks: int, a_day: int, least: int, most: int) -> list[tuple[int, int]]:
    """So many stretches a day, each with its first look and its length."""
    return [
        (int(random.integers(looks)), int(random.integers(least, most + 1)))
        for _ in range(int(random.poisson(a_day * looks / DAY_LOOKS)))
    ]
