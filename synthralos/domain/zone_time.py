"""From wall-clock times to instants, over the days on which clocks are moved.

The rule. A cron expression that names hours of the day (`30 2 * * *`) runs once a day whatever the clocks do: what
falls into a gap runs once, at the gap's end; what falls into an hour that comes twice runs at the first. One whose hour
is `*` or a step (`*/15 * * * *`) runs whenever the clock shows a time of it: nothing in the gap, twice in the overlap.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from synthralos.domain.cron import Cron

_ONE_SECOND = timedelta(seconds=1)
_PROBE = timedelta(hours=12)
_FIRST_LOOK, _LONGEST_LOOK = timedelta(hours=25), timedelta(days=400)
"""No zone moves its clocks by more than a day, so what one move affects lies within a first look."""


class ClockChange(StrEnum):
    """What moved clocks did to a run."""

    GAP = "gap"
    """Its time did not exist: it runs when the clocks have been put forward."""
    OVERLAP = "overlap"
    """Its time comes for the second time: the clocks were put back."""


class Instant(NamedTuple):
    """A time of the expression as an instant (UTC)."""

    at: datetime
    change: ClockChange | None = None


class _Stretch(NamedTuple):
    """From `start` to before `end` (UTC) the zone is `offset` ahead of UTC; just before `start` it was `before`."""

    start: datetime
    end: datetime
    offset: timedelta
    before: timedelta

    @property
    def forward(self) -> timedelta:
        """By how much the clocks were put forward at its start; negative: put back."""
        return self.offset - self.before

    def wall(self, at: datetime) -> datetime:
        """What the clock shows."""
        return (at + self.offset).replace(tzinfo=None)

    def instant(self, wall: datetime) -> datetime:
        """When the clock shows it."""
        return wall.replace(tzinfo=UTC) - self.offset


def instants(cron: Cron, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[Instant]:
    """The instants of the expression in the zone, later than `after`, `until` included, in order, each once."""
    last = after
    for stretch in _stretches(zone, after, until + _ONE_SECOND):
        for found in _within(stretch, cron, after):
            if last < found.at <= until:
                yield found
                last = found.at


def _within(stretch: _Stretch, cron: Cron, after: datetime) -> Iterator[Instant]:
    begin, by_day = stretch.wall(stretch.start), not cron.follows_the_clock
    if by_day and stretch.forward > timedelta() and any(cron.times(begin - stretch.forward, begin)):
        yield Instant(stretch.start, ClockChange.GAP)
    repeated_until = begin - min(stretch.forward, timedelta())
    for wall in cron.times(stretch.wall(max(stretch.start, after)), stretch.wall(stretch.end)):
        if wall >= repeated_until:
            yield Instant(stretch.instant(wall))
        elif not by_day:
            yield Instant(stretch.instant(wall), ClockChange.OVERLAP)


def _stretches(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[_Stretch]:
    """From a day before `after`, so that a move whose effect lasts is seen; longer and longer ones."""
    start, look = after.replace(microsecond=0) - _FIRST_LOOK, _FIRST_LOOK
    before = _offset(zone, start)
    while start < until:
        offset = _offset(zone, start)
        end = _first_move(zone, start, min(start + look, until))
        if end > after:
            yield _Stretch(start, end, offset, before)
        start, before, look = end, offset, min(2 * look, _LONGEST_LOOK)


def _first_move(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """When the zone's clocks are moved first after `start`, to the second; `end` where they are not before it."""
    offset, at = _offset(zone, start), start
    while at < end:
        probe = min(at + _PROBE, end)
        if _offset(zone, probe) != offset:
            return _bisect(zone, at, probe)
        at = probe
    return end


def _bisect(zone: ZoneInfo, still: datetime, moved: datetime) -> datetime:
    offset = _offset(zone, still)
    while moved - still > _ONE_SECOND:
        middle = still + timedelta(seconds=(moved - still) // _ONE_SECOND // 2)
        if _offset(zone, middle) == offset:
            still = middle
        else:
            moved = middle
    return moved


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
