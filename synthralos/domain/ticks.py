"""At which instants a schedule fires. Pure: no clock but the caller's."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import count, islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from synthralos.domain.schedules import Exclusions, Schedule, read_cron
from synthralos.domain.zone_time import ClockChange, Instant, instants

LOOK_AHEAD = timedelta(days=3_660)
"""A tick that is farther ahead is none: 29 February comes within eight years."""

_NOTHING = Exclusions()
_INSTANT = timedelta(microseconds=1)


class Tick(NamedTuple):
    """One time that a schedule fires.

    `fire_at` (UTC) is what the tick is known by: no two ticks of a schedule have the same. `due_at` is `fire_at` and
    the jitter. `change`: what moved clocks did to it.
    """

    fire_at: datetime
    due_at: datetime
    change: ClockChange | None = None


def ticks(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[Tick]:
    """The first `limit` ticks with `after` < `fire_at` <= `until`, in order. `zone_time` has the rule on moved clocks.

    The same arguments give the same ticks on every machine and at any time; whether it is paused makes no difference.
    """
    after, until = after.astimezone(UTC), until.astimezone(UTC)
    if schedule.start is not None:
        after = max(after, schedule.start - _INSTANT)
    if schedule.end is not None:
        until = min(until, schedule.end - _INSTANT)
    return [_tick(schedule, each) for each in islice(_fired(schedule, after, until), limit)]


def next_tick(schedule: Schedule, after: datetime) -> Tick | None:
    """The first tick after that time; None where there is none within `LOOK_AHEAD`."""
    after = after.astimezone(UTC)
    if schedule.cron is None or schedule.start or schedule.end or schedule.exclusions != _NOTHING:
        found = ticks(schedule, after, after + LOOK_AHEAD, 1)
        return found[0] if found else None
    first = _first(schedule.cron, schedule.time_zone, after)
    return None if first is None else _tick(schedule, first)


def newest_ticks(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[Tick]:
    """The last `limit` ticks with `after` < `fire_at` <= `until`, in order.

    What it costs depends on `limit`, and not on how long that time is.
    """
    most = 4 * limit
    look = timedelta(seconds=limit)
    few, since = until, max(after, until - look)
    while True:
        found = ticks(schedule, since, until, most + 1)
        if len(found) > most:
            since += (few - since) / 2  # too many, and those that are wanted come last
        elif len(found) >= limit or since == after:
            return found[-limit:]
        else:
            few, look = since, 2 * look
            since = max(after, until - look)


def tick_at(schedule: Schedule, fire_at: datetime) -> Tick:
    """A tick whose `fire_at` is known, with the time at which it is due."""
    return _tick(schedule, Instant(fire_at))


@lru_cache(4096)
def _first(expression: str, time_zone: str, after: datetime) -> Instant | None:
    """Many schedules say the same, and are due at the same time."""
    return next(instants(read_cron(expression), ZoneInfo(time_zone), after, after + LOOK_AHEAD), None)


def _fired(schedule: Schedule, after: datetime, until: datetime) -> Iterator[Instant]:
    """Without what is excluded: a long window is leapt over, not walked through tick by tick."""
    zone = ZoneInfo(schedule.time_zone)
    free: datetime | None = after
    while free is not None:
        after, free = free, None
        for each in _instants(schedule, zone, after, until):
            free = _free_after(schedule.exclusions, each.at, zone)
            if free is not None:
                break
            yield each


def _instants(schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[Instant]:
    if schedule.cron:
        return instants(read_cron(schedule.cron), zone, after, until)
    return _steps(schedule, after, until)


def _tick(schedule: Schedule, instant: Instant) -> Tick:
    if not schedule.jitter_seconds:
        return Tick(instant.at, instant.at, instant.change)
    digest = sha256(f"{schedule.id}\0{instant.at.isoformat()}".encode()).digest()
    milliseconds = int.from_bytes(digest[:8]) % (schedule.jitter_seconds * 1000 + 1)
    return Tick(instant.at, instant.at + timedelta(milliseconds=milliseconds), instant.change)


def _steps(schedule: Schedule, after: datetime, until: datetime) -> Iterator[Instant]:
    step = timedelta(seconds=schedule.interval_seconds or 0)
    first = schedule.start or datetime(1970, 1, 1, tzinfo=UTC)
    for number in count(max(0, (after - first) // step + 1)):
        at = (first + number * step).astimezone(UTC)
        if at > until:
            return
        yield Instant(at)


def _free_after(exclusions: Exclusions, at: datetime, zone: ZoneInfo) -> datetime | None:
    """Where `at` is excluded: a time that is not before it, after which it may fire again. None: it fires."""
    local = at.astimezone(zone)
    if exclusions.dates and local.date() in exclusions.dates:
        midnight = datetime.combine(local.date() + timedelta(days=1), time(), zone).astimezone(UTC)
        return max(at, midnight - _INSTANT)
    ends = [window.end for window in exclusions.windows if window.start <= at < window.end]
    return max(at, max(ends) - _INSTANT) if ends else None
