"""Ticks against an independent reading: a walk over the minutes, each compared with what the zone's clock shows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from synthralos.domain.schedules import Schedule
from synthralos.domain.ticks import ticks

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
FIRST_YEAR = datetime(2020, 1, 1, tzinfo=UTC)
ZONES = [
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Havana",
    "America/Santiago", "America/Asuncion", "America/Sao_Paulo", "America/Scoresbysund", "America/Nuuk", "Asia/Beirut",
    "Asia/Tehran", "Asia/Amman", "Asia/Gaza", "Asia/Kolkata", "Asia/Kathmandu", "Africa/Cairo", "Africa/Casablanca",
    "Africa/Juba", "Antarctica/Troll", "Atlantic/Azores", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia",
    "Pacific/Auckland", "Pacific/Chatham", "Pacific/Easter", "Pacific/Norfolk",
]  # fmt: skip


def offset(zone: ZoneInfo, at: datetime) -> timedelta:
    found = at.astimezone(zone).utcoffset()
    assert found is not None
    return found


def moves(zone: str) -> list[datetime]:
    """The days of ten years within which the zone's clocks are moved."""
    info, days = ZoneInfo(zone), [FIRST_YEAR + number * DAY for number in range(3653)]
    return [day for day in days if offset(info, day) != offset(info, day + DAY)]


MOVES = {zone: moves(zone) for zone in ZONES}


@st.composite
def places(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and a minute to begin at: half the time shortly before its clocks are moved."""
    zone = draw(st.sampled_from(ZONES))
    near = MOVES[zone] and draw(st.booleans())
    day = draw(st.sampled_from(MOVES[zone])) if near else FIRST_YEAR + draw(st.integers(0, 3652)) * DAY
    return zone, day - DAY + draw(st.integers(0, 1439)) * MINUTE


def some(least: int, most: int) -> st.SearchStrategy[set[int] | None]:
    """Some values of a field, or None: all."""
    return st.none() | st.sets(st.integers(least, most), min_size=1, max_size=4)


def written(values: set[int] | None) -> str:
    return "*" if values is None else ",".join(map(str, sorted(values)))


class Fields:
    """The fields of an expression as sets; `step`: of the hour, where that is `*/step`."""

    def __init__(self, minute: set[int], hour: set[int] | int, day: set[int] | None, weekday: set[int] | None) -> None:
        self.minute, self.day, self.weekday = minute, day, weekday
        self.by_day = isinstance(hour, set)
        self.hours = hour if isinstance(hour, set) else set(range(0, 24, hour))
        hours = written(hour) if isinstance(hour, set) else f"*/{hour}"
        self.text = f"{written(minute)} {hours} {written(day)} * {written(weekday)}"

    def match(self, wall: datetime) -> bool:
        day = self.day is None or wall.day in self.day
        weekday = self.weekday is None or wall.isoweekday() % 7 in self.weekday
        either = day or weekday if self.day is not None and self.weekday is not None else day and weekday
        return wall.minute in self.minute and wall.hour in self.hours and either


expressions = st.builds(
    Fields,
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sets(st.integers(0, 23) | st.integers(0, 3), min_size=1, max_size=3) | st.integers(1, 12),
    some(1, 28),
    some(0, 6),
)


def walked(fields: Fields, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """The fire times, from the minutes alone. It begins two days early to know what was shown before."""
    at, shown = after - 2 * DAY, datetime.min
    latest = shown
    while at <= until:
        wall = at.astimezone(zone).replace(tzinfo=None)
        fires = fields.match(wall)
        if fields.by_day and latest != datetime.min:
            if wall <= latest:
                fires = False
            missed = (latest + number * MINUTE for number in range(1, max(1, (wall - latest) // MINUTE)))
            fires = fires or any(fields.match(each) for each in missed)
        latest = max(latest, wall)
        if fires and at > after:
            yield at
        at += MINUTE


@settings(max_examples=150)
@given(places(), expressions)
def test_ticks_are_those_of_a_walk_over_the_minutes(place: tuple[str, datetime], fields: Fields) -> None:
    zone, after = place
    until = after + 3 * DAY
    schedule = Schedule("s", "acme", "main", "n", {}, cron=fields.text, time_zone=zone)
    found = [each.fire_at for each in ticks(schedule, after, until, 10_000)]
    assert found == list(walked(fields, ZoneInfo(zone), after, until))


@settings(max_examples=100)
@given(places(), expressions, st.lists(st.integers(1, 4 * 24 * 60), max_size=6))
def test_ticks_do_not_depend_on_how_the_time_is_cut(
    place: tuple[str, datetime], fields: Fields, cuts: list[int]
) -> None:
    zone, after = place
    schedule = Schedule("s", "acme", "main", "n", {}, cron=fields.text, time_zone=zone, jitter_seconds=900)
    bounds = [after, *sorted(after + cut * MINUTE for cut in cuts), after + 5 * DAY]
    parts = [tick for start, end in pairwise(bounds) for tick in ticks(schedule, start, end, 10_000)]
    assert parts == ticks(schedule, after, after + 5 * DAY, 10_000)


@settings(max_examples=100)
@given(places(), expressions)
def test_the_next_tick_is_the_first_of_all_that_come(place: tuple[str, datetime], fields: Fields) -> None:
    zone, after = place
    schedule = Schedule("s", "acme", "main", "n", {}, cron=fields.text, time_zone=zone)
    assert ticks(schedule, after, after + 40 * DAY, 3) == ticks(schedule, after, after + 40 * DAY, 10_000)[:3]
