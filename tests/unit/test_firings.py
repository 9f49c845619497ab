"""What becomes of ticks: misfires, backoff and overlaps, without a clock and without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.firings import Ended, Outcome, delay_after, due_ticks, ended_as, judge
from synthralos.domain.schedules import Backoff, Exclusions, Misfire, Overlap, Schedule, Window
from synthralos.domain.ticks import newest_ticks, next_tick, ticks

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def schedule(**fields: Any) -> Schedule:
    return Schedule("0198", "acme", "main", "nightly", {"prompt": "Hi"}, **{"cron": "@hourly", **fields})


def decided(made: Schedule, first: datetime, now: datetime, held: datetime | None = None) -> list[tuple[str, str]]:
    return [(f"{each.tick.fire_at:%H:%M}", str(each.outcome)) for each in due_ticks(made, first, held, now).decisions]


def test_a_tick_fires_when_it_is_due_and_the_next_one_follows() -> None:
    due = due_ticks(schedule(), NINE, None, NINE + timedelta(seconds=1))
    assert [(each.tick.fire_at, each.outcome) for each in due.decisions] == [(NINE, Outcome.FIRED)]
    assert due.following is not None
    assert due.following.fire_at == NINE + HOUR


def test_who_looks_too_early_finds_the_same_tick_again() -> None:
    due = due_ticks(schedule(), NINE, None, NINE - MINUTE)
    assert due.decisions == []
    assert due.following is not None
    assert due.following.fire_at == NINE


def test_a_tick_that_the_rules_do_not_know_any_more_is_decided_about_all_the_same() -> None:
    odd = NINE + 7 * MINUTE
    assert decided(schedule(), odd, odd + MINUTE) == [("09:07", "fired")]
    assert decided(schedule(misfire=Misfire.ALL), odd, NINE + HOUR) == [("09:07", "fired"), ("10:00", "fired")]


def test_the_last_of_those_missed_gives_way_to_one_that_is_due_right_now() -> None:
    assert decided(schedule(), NINE - HOUR, NINE) == [("08:00", "missed"), ("09:00", "fired")]
    assert decided(schedule(), NINE - HOUR, NINE - MINUTE) == [("08:00", "fired")]


def test_what_falls_into_a_backoff_fires_once_at_its_end() -> None:
    made, held = schedule(cron="*/10 * * * *"), NINE + 35 * MINUTE
    assert decided(made, NINE + 10 * MINUTE, NINE + 20 * MINUTE, held) == []
    assert decided(made, NINE + 10 * MINUTE, held, held) == [
        ("09:10", "skipped"), ("09:20", "skipped"), ("09:30", "fired"),
    ]  # fmt: skip
    later = NINE + 40 * MINUTE
    assert decided(made, NINE + 10 * MINUTE, later, held)[-2:] == [("09:30", "skipped"), ("09:40", "fired")]


def test_jitter_keeps_the_order() -> None:
    made = schedule(cron="* * * * *", jitter_seconds=600, misfire=Misfire.ALL, catch_up_seconds=86_400)
    first, fired = NINE, []
    for minute in range(120):
        due = due_ticks(made, first, None, NINE + minute * MINUTE)
        assert all(each.tick.due_at <= NINE + minute * MINUTE for each in due.decisions)
        fired += [each.tick.fire_at for each in due.decisions]
        assert due.following is not None
        first = due.following.fire_at
    assert fired == [NINE + minute * MINUTE for minute in range(len(fired))]
    assert len(fired) > 100


@given(st.integers(1, 40), st.integers(0, 3_000), st.sampled_from(["*/7 * * * *", "0 9 * * *", "*/20 * * * * 6"]))
def test_the_newest_ticks_are_the_end_of_all_of_them(limit: int, minutes: int, cron: str) -> None:
    made = schedule(cron=cron)
    every = ticks(made, NINE, NINE + minutes * MINUTE, 100_000)
    assert newest_ticks(made, NINE, NINE + minutes * MINUTE, limit) == every[-limit:]


def test_a_long_window_is_leapt_over() -> None:
    until = NINE + timedelta(days=3_000)
    made = schedule(cron="* * * * * *", exclusions=Exclusions(windows=(Window(NINE, until),)))
    found = next_tick(made, NINE)
    assert found is not None
    assert found.fire_at == until


@pytest.mark.parametrize("overlap", Overlap)
def test_nothing_that_runs_is_in_nobodys_way(overlap: Overlap) -> None:
    assert judge(overlap, live=False, waiting=0) == (Outcome.FIRED, "", False)


def test_delays_grow_up_to_their_cap_and_never_overflow() -> None:
    backoff = Backoff(base_seconds=10, factor=3, cap_seconds=500, jitter=0.5)
    assert [delay_after(backoff, number, 0.0).total_seconds() for number in (1, 2, 3, 4, 5)] == [10, 30, 90, 270, 500]
    assert delay_after(backoff, 1, 1.0).total_seconds() == 15
    assert delay_after(Backoff(factor=100), 10_000_000, 0.0).total_seconds() == 21_600


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        (["succeeded", "succeeded"], Ended.SUCCEEDED), (["succeeded", "failed"], Ended.FAILED),
        (["denied"], Ended.FAILED), (["expired"], Ended.FAILED), (["cancelled", "succeeded"], Ended.CANCELLED),
        (["gone"], Ended.CANCELLED),
    ],
)  # fmt: skip
def test_one_failure_fails_a_firing_and_a_cancellation_counts_for_nothing(states: list[str], ended: Ended) -> None:
    assert ended_as(states) is ended
