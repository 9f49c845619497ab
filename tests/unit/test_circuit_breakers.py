"""The rules of circuit breakers, and when a run of failures is no accident."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.flow.tally import Tally, implausible_run
from synthralos.domain.breakers import (
    FORGIVEN_AFTER,
    PROBE_SECONDS,
    PROBES,
    Breaker,
    BreakerState,
    closed,
    credential_breaker,
    opened,
    probed,
    probing,
    seconds_open,
    unused,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CLOSED = Breaker("a/b@us", BreakerState.CLOSED, NOON - timedelta(days=1))


def _after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_it_opens_for_seconds_that_double_and_a_time_of_peace_forgives() -> None:
    first = opened(CLOSED, NOON, "away")
    assert first.until == _after(5)
    assert opened(first, _after(3), "again") == first
    reclosed = closed(first, _after(60), "probes")
    assert opened(reclosed, _after(70), "away").until == _after(80)
    assert opened(reclosed, _after(60 + FORGIVEN_AFTER), "away").opened == 1
    assert seconds_open("a/b@us", 500) == 300
    assert seconds_open(credential_breaker("KEY"), 1) == 60


def test_probes_come_one_then_two_then_four_and_only_then_it_closes() -> None:
    breaker = opened(CLOSED, NOON, "away")
    assert probing(breaker, _after(4)) is None
    passed = 0
    for step in PROBES:
        for _ in range(step):
            claimed = probing(breaker, _after(10))
            assert claimed is not None
            breaker = claimed
        assert probing(breaker, _after(10)) is None
        for _ in range(step):
            assert breaker.state is BreakerState.HALF_OPEN
            breaker, passed = probed(breaker, _after(11), None), passed + 1
    assert (breaker.state, passed) == (BreakerState.CLOSED, sum(PROBES))


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    probe = probing(opened(CLOSED, NOON, "away"), _after(6))
    assert probe is not None
    again = probed(probe, _after(7), "still away")
    assert (again.state, again.until, again.reason) == (BreakerState.OPEN, _after(17), "still away")
    assert probed(again, _after(8), None) == again


def test_a_probe_whose_worker_died_is_handed_out_again() -> None:
    probe = probing(opened(CLOSED, NOON, "away"), _after(6))
    assert probe is not None
    assert probing(probe, _after(6 + PROBE_SECONDS - 1)) is None
    assert probing(probe, _after(6 + PROBE_SECONDS)) is not None
    assert probing(unused(probe), _after(7)) is not None


@given(st.lists(st.sampled_from(["claim", "pass", "fail", "unused", "broken", "later"]), max_size=60))
def test_it_never_closes_without_a_whole_run_of_probes(acts: list[str]) -> None:
    breaker, now, in_a_row = opened(CLOSED, NOON, "away"), NOON, 0
    for act in acts:
        now += timedelta(seconds=400 if act == "later" else 0.01)
        was_half_open = breaker.state is BreakerState.HALF_OPEN
        match act:
            case "claim":
                breaker = probing(breaker, now) or breaker
            case "unused":
                breaker = unused(breaker)
            case "broken":
                breaker, in_a_row = opened(breaker, now, "away"), 0
            case "pass" | "fail":
                breaker = probed(breaker, now, None if act == "pass" else "away")
                in_a_row = in_a_row + was_half_open if act == "pass" else 0
        assert 0 <= breaker.claimed <= breaker.allowed <= PROBES[-1]
        if breaker.state is BreakerState.CLOSED:
            assert in_a_row >= sum(PROBES)
            return


def test_after_good_calls_three_failures_in_a_row_are_enough_and_never_fewer() -> None:
    tally = Tally(0.0)
    for number in range(200):
        assert tally.good(number / 100, slow=False) is None
    assert [tally.bad(2.0, "x") is not None for _ in range(3)] == [False, False, True]


def test_a_brown_out_opens_nothing_that_its_own_share_explains() -> None:
    """Every fourth call fails: never three in a row, and a share that is far from half."""
    tally = Tally(0.0)
    for number in range(2000):
        now = number / 100
        found = tally.bad(now, "x") if number % 4 == 0 else tally.good(now, slow=False)
        assert found is None
    assert implausible_run(500, 2000) > 8


def test_half_of_the_calls_failing_opens_it_though_none_follows_another() -> None:
    tally = Tally(0.0)
    found = [tally.bad(n / 100, "x") if n % 2 else tally.good(n / 100, slow=False) for n in range(60)]
    assert any(found)


def test_slowness_counts_where_it_is_the_rule() -> None:
    tally = Tally(0.0)
    assert any(tally.good(n / 10, slow=n % 10 > 0) for n in range(60))
    calm = Tally(0.0)
    assert not any(calm.good(n / 10, slow=n % 2 > 0) for n in range(600))


def test_what_was_long_ago_counts_no_more() -> None:
    tally = Tally(0.0)
    for _ in range(15):
        tally.good(0.0, slow=False)
        tally.bad(0.0, "x")
    tally = replace(tally, run=0)
    assert tally.bad(3600.0, "x") is None
