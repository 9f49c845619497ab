"""Where a bulk job stands in its line, and how fast lines move."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

MOST_COUNTED = 5_000
"""Jobs before another one that are counted: a look costs the same in any line."""

AVERAGED_SECONDS = 20.0
"""Over about so long a line's pace is averaged."""

MOST_TOLD = 2_000
"""Lines whose pace is told; the jobs of others wait without an estimate."""

_SLOWEST = 1e-3
"""Jobs a second below which nothing is expected of a line."""


class Standing(NamedTuple):
    """A job in line: how many are before it in it (`MOST_COUNTED` at most), and when its turn may come.

    `expected_at` is None while nobody knows how fast the line moves; behind more than were counted it is the earliest.
    """

    ahead: int
    expected_at: datetime | None

    @property
    def reason(self) -> str:
        """What it waits for, for the one who sent it."""
        count = f"{MOST_COUNTED:,} or more" if self.ahead >= MOST_COUNTED else f"{self.ahead:,}"
        return f"the turn of its line; jobs before it there: {count}"


def expected(now: datetime, ahead: int, pace: float | None) -> datetime | None:
    """When a job's turn may come; `pace` in jobs a second, None where it is not known."""
    return None if pace is None else now + timedelta(seconds=(ahead + 1) / pace)


class _Pace(NamedTuple):
    since: float
    at: float
    sum: float


class Paces:
    """How many jobs of each line are called a second: an average in which what is long past counts less and less."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def called(self, lines: Iterable[str], waiting: Iterable[str], now: float) -> None:
        """A job of each of `lines` was called (a name stands there once a job), and `waiting` had a line.

        `now`: by a clock in seconds.
        """
        for name in waiting:
            self._paces.setdefault(name, _Pace(now, now, 0.0))
        for name in lines:
            since, at, total = self._paces.get(name, _Pace(now, now, 0.0))
            self._paces[name] = _Pace(since, now, total * _left(now - at) + 1)

    def keep(self, waiting: Iterable[str]) -> None:
        """Forget the lines of all others."""
        self._paces = {name: self._paces[name] for name in waiting if name in self._paces}

    def told(self, now: float) -> list[str]:
        """Each line's pace as one word, for `heard`; those of `MOST_TOLD` lines at most."""
        known = {name: self._pace(pace, now) for name, pace in islice(self._paces.items(), MOST_TOLD)}
        return [f"{line_key(name)}:{pace:.3g}" for name, pace in known.items() if pace >= _SLOWEST]

    @staticmethod
    def _pace(pace: _Pace, now: float) -> float:
        """A young average has seen less than its span: a second of it at least."""
        span = AVERAGED_SECONDS * (1 - _left(max(now - pace.since, 1.0)))
        return pace.sum * _left(now - pace.at) / span


def heard(words: Iterable[str]) -> dict[str, float]:
    """Paces by `line_key`; words that are none are left out."""
    found = {}
    for key, colon, pace in (word.partition(":") for word in words):
        try:
            value = float(pace) if colon else 0.0
        except ValueError:
            continue
        if value >= _SLOWEST and math.isfinite(value):
            found[key] = value
    return found


def line_key(line: str) -> str:
    """A short name without commas, for the bus."""
    return blake2b(line.encode(), digest_size=8).hexdigest()


def _left(seconds: float) -> float:
    return math.exp(-seconds / AVERAGED_SECONDS)
