"""What a schedule says, when it fires, and how one that cannot be is refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from synthralos.domain.schedules import Backoff, Exclusions, InvalidSchedule, Misfire, Overlap, Schedule, Window
from synthralos.domain.ticks import ticks
from synthralos.domain.zone_time import ClockChange

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
"""In Berlin the clocks are moved in the night that follows."""


def schedule(**fields: Any) -> Schedule:
    return Schedule("0198", "acme", "main", "nightly", {"model": "m"}, **fields)


def fired(after: datetime, hours: float = 24, **fields: Any) -> list[str]:
    found = ticks(schedule(**fields), after, after + timedelta(hours=hours), 1000)
    return [f"{tick.fire_at:%d %H:%M:%S}" for tick in found]


def test_a_cron_schedule_fires_by_the_clock_of_its_zone() -> None:
    assert fired(NEW_YEAR, cron="30 6 * * *", time_zone="Asia/Kolkata") == ["01 01:00:00"]


def test_six_fields_begin_with_the_second() -> None:
    assert fired(NEW_YEAR, hours=0.01, cron="*/15 * * * * *") == ["01 00:00:15", "01 00:00:30"]


def test_weekdays_count_from_sunday_and_the_seventh_is_sunday_again() -> None:
    # 2026-01-04 is a Sunday.
    for weekday in ("0", "7", "sun", "SUN"):
        assert fired(NEW_YEAR, hours=7 * 24, cron=f"0 0 * * {weekday}") == ["04 00:00:00"]
    assert fired(NEW_YEAR, hours=7 * 24, cron="0 0 * * sat-sun") == ["03 00:00:00", "04 00:00:00"]
    assert fired(NEW_YEAR, hours=7 * 24, cron="@weekly") == ["04 00:00:00"]


def test_a_day_of_the_month_and_a_weekday_mean_either() -> None:
    assert fired(NEW_YEAR, hours=7 * 24, cron="0 0 6 * sun") == ["04 00:00:00", "06 00:00:00"]


def test_a_date_that_never_comes_ends_the_search() -> None:
    assert fired(NEW_YEAR, hours=24 * 3650, cron="0 0 30 2 *") == []


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * *", SPRING, [("01:00", ClockChange.GAP)]),
        ("0,15,30 2 * * *", SPRING, [("01:00", ClockChange.GAP)]),
        ("0 */2 * * *", SPRING + timedelta(hours=11), [("02:00", None), ("04:00", None)]),
        ("30 2 * * *", AUTUMN, [("00:30", None)]),
        ("30 * * * *", AUTUMN + timedelta(hours=12), [("00:30", None), ("01:30", ClockChange.OVERLAP)]),
    ],
)
def test_when_clocks_are_moved(cron: str, after: datetime, expected: list[tuple[str, ClockChange | None]]) -> None:
    until = after.replace(hour=5) + timedelta(days=1) if after.hour < 20 else after + timedelta(hours=6)
    found = ticks(schedule(cron=cron, time_zone="Europe/Berlin"), after, until, 1000)
    assert [(f"{tick.fire_at:%H:%M}", tick.change) for tick in found][: len(expected)] == expected


def test_an_interval_counts_seconds_that_pass_from_its_start() -> None:
    start = NEW_YEAR + timedelta(minutes=7)
    assert fired(NEW_YEAR, hours=3, interval_seconds=3600, start=start) == [
        "01 00:07:00", "01 01:07:00", "01 02:07:00",
    ]  # fmt: skip
    assert fired(SPRING, hours=48, interval_seconds=86_400, time_zone="Europe/Berlin") == [
        "29 00:00:00", "30 00:00:00",
    ]  # fmt: skip


def test_it_fires_from_its_start_to_before_its_end() -> None:
    start, end = NEW_YEAR + timedelta(hours=1), NEW_YEAR + timedelta(hours=3)
    for timing in ({"cron": "@hourly"}, {"interval_seconds": 3600}):
        assert fired(NEW_YEAR, start=start, end=end, **timing) == ["01 01:00:00", "01 02:00:00"]


def test_excluded_days_are_those_of_its_zone_and_windows_end_before_their_end() -> None:
    window = Window(NEW_YEAR + timedelta(hours=2), NEW_YEAR + timedelta(hours=9))
    kept = fired(
        NEW_YEAR, hours=42, cron="0 */6 * * *", time_zone="Asia/Tokyo",
        exclusions=Exclusions(frozenset({date(2026, 1, 2)}), (window,)),
    )  # fmt: skip
    # Tokyo's 2 January is UTC's from 15:00 of the 1st to 15:00 of the 2nd.
    assert kept == ["01 09:00:00", "02 15:00:00"]


def test_jitter_moves_when_it_is_due_and_never_which_tick_it_is() -> None:
    plain = ticks(schedule(cron="59 23 * * *"), NEW_YEAR, NEW_YEAR + timedelta(days=30), 100)
    moved = ticks(schedule(cron="59 23 * * *", jitter_seconds=600), NEW_YEAR, NEW_YEAR + timedelta(days=30), 100)
    assert [tick.fire_at for tick in moved] == [tick.fire_at for tick in plain]
    delays = [(tick.due_at - tick.fire_at).total_seconds() for tick in moved]
    assert all(0 <= delay <= 600 for delay in delays)
    assert len(set(delays)) > 20


def test_a_schedule_survives_storing() -> None:
    original = schedule(
        cron="@daily", time_zone="Europe/Berlin", start=NEW_YEAR, end=NEW_YEAR + timedelta(days=9), pause_after=3,
        exclusions=Exclusions(frozenset({date(2026, 1, 2)}), (Window(NEW_YEAR, NEW_YEAR + timedelta(hours=1)),)),
        misfire=Misfire.ALL, overlap=Overlap.REPLACE, backoff=Backoff(5, 3.0, 500, 0.5), paused=True, pause_note="n",
    )  # fmt: skip
    assert Schedule.from_json(orjson.loads(orjson.dumps(original.to_json()))) == original


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "cron"),
        ({"cron": "@daily", "interval_seconds": 5}, "cron"),
        ({"cron": "* * *"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "* * * * 8"}, "cron"),
        ({"cron": "* * * * fri-mon"}, "cron"),
        ({"cron": "* * * * */0"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"cron": "@daily", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"cron": "@daily", "time_zone": "Europe"}, "time_zone"),
        ({"cron": "@daily", "time_zone": "../etc/passwd"}, "time_zone"),
        ({"cron": "@daily", "start": NEW_YEAR, "end": NEW_YEAR}, "end"),
        ({"cron": "@daily", "start": datetime(2026, 1, 1)}, "end"),
        ({"cron": "@daily", "jitter_seconds": -1}, "jitter_seconds"),
        ({"cron": "@daily", "pause_after": 0}, "pause_after"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_the_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        schedule(**fields)
    assert refused.value.field == named
    assert refused.value.remedy


def test_backoff_and_windows_that_cannot_be_are_refused() -> None:
    for wrong in ({"factor": 0.5}, {"base_seconds": 10, "cap_seconds": 5}, {"jitter": 2}):
        with pytest.raises(InvalidSchedule):
            Backoff(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidSchedule):
        Exclusions(windows=(Window(NEW_YEAR, NEW_YEAR),))
