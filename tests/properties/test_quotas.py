"""Whoever asks, whenever and for how much: no window of time sees more than the quota and its declared slack."""

import math
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from pipelines.flow.pacer import CHUNK, CREDIT, Pacer
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import (
    AHEAD,
    BURST,
    Ask,
    Quota,
    granted,
    observed,
    refused,
    standing,
)

NAME, START = "KEY/model", 1_000_000.0
LIMITS = st.integers(1, 100_000)
STEPS = st.lists(
    st.tuples(st.floats(0, 3), st.integers(0, 3), st.floats(-50, 500), st.floats(0, 200)), min_size=1, max_size=40
)


def _most_over(taken: list[tuple[float, float]], rate: float) -> float:
    """By how much the worst window exceeds what is refilled in it."""
    worst = level = 0.0
    before = taken[0][0] if taken else 0.0
    for at, amount in taken:
        level = max(0.0, level - rate * (at - before)) + amount
        worst, before = max(worst, level), at
    return worst


@given(LIMITS, STEPS)
def test_no_window_is_granted_more_than_refilled_and_the_slack_and_one_call(
    limit: int, steps: list[tuple[float, int, float, float]]
) -> None:
    quota, now, rate = Quota(NAME), START, limit / 60
    taken: list[tuple[float, float]] = []
    for seconds, asker, want, least in steps:
        now += seconds
        asked = Ask(max(want, least), least)
        quota, grant = granted(quota, {Unit.TOKENS: asked}, {Unit.TOKENS: limit}, str(asker), now)
        taken.append((now, grant.amounts[Unit.TOKENS]))
    largest = max(step[3] for step in steps)
    assert _most_over(taken, rate) <= rate * (AHEAD + BURST) + largest + 1e-6 * rate + 1e-6


@given(LIMITS, st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=30))
def test_what_is_given_back_is_granted_once_more_and_no_more(limit: int, steps: list[tuple[float, float]]) -> None:
    quota, now, rate, declared = Quota(NAME), START, limit / 60, {Unit.REQUESTS: limit}
    kept: list[tuple[float, float]] = []
    for seconds, share in steps:
        now += seconds
        quota, grant = granted(quota, {Unit.REQUESTS: Ask(rate)}, declared, "a", now)
        got = grant.amounts[Unit.REQUESTS]
        quota, _ = granted(quota, {Unit.REQUESTS: Ask(-got * share)}, declared, "a", now)
        kept.append((now, got * (1 - share)))
    assert _most_over(kept, rate) <= rate * (AHEAD + BURST) * (1 + 1e-6) + 1e-6


@given(st.integers(60, 60_000), st.integers(1, 4), st.data())
def test_workers_together_call_no_more_than_the_quota_in_any_window(
    limit: int, count: int, data: st.DataObject
) -> None:
    quota, now, rate, declared = Quota(NAME), START, limit / 60, {Unit.REQUESTS: limit}
    workers = [Pacer(NAME, now, standing(quota, declared, now)) for _ in range(count)]
    asked: deque[int] = deque()
    calls: list[tuple[float, float]] = []
    for _ in range(data.draw(st.integers(1, 30))):
        now += data.draw(st.floats(0, 0.5))
        which = data.draw(st.integers(0, count - 1))
        let_through = (workers[which].take({Unit.REQUESTS: 1.0}, now) for _ in range(data.draw(st.integers(0, 40))))
        calls.append((now, float(sum(let_through))))
        asked.append(which)
        while asked and data.draw(st.booleans()):
            worker = workers[asked.popleft()]
            asks = worker.asks(now) or worker.spare(now, 1.0)
            quota, grant = granted(quota, asks, declared, str(which), now)
            worker.granted(grant, now)
    # Of each worker what it held and might take on credit, and the one call that is owed for.
    slack = rate * (AHEAD + BURST + count * (CHUNK + CREDIT)) + 2 * count
    assert _most_over(calls, rate) <= slack + 1e-3


@given(st.lists(st.tuples(st.floats(0, 200), st.none() | st.floats(0, 10_000)), min_size=1, max_size=30))
def test_a_later_refusal_can_only_extend_a_closure(steps: list[tuple[float, float | None]]) -> None:
    quota, now = Quota(NAME), START
    for seconds, wish in steps:
        now += seconds
        before = quota.closed_until
        quota = refused(quota, wish, "full", (), now)
        assert quota.closed_until >= max(before, now + min(wish or 0.0, 3_600.0))
        assert quota.closed_until <= max(before, now + 3_600.0)
        _, grant = granted(quota, {Unit.REQUESTS: Ask(1.0, 1.0)}, {Unit.REQUESTS: 600}, "a", now)
        assert wish == 0 or grant.amounts[Unit.REQUESTS] == 0 or quota.closed_until - now < AHEAD


@given(LIMITS, st.floats(0, 1))
def test_the_less_is_left_the_slower_it_is_granted_and_never_not_at_all(limit: int, share: float) -> None:
    def rate(left: int) -> float:
        quota = observed(Quota(NAME), [Left(Unit.TOKENS, limit, left)], START)
        return standing(quota, {}, START).rates[Unit.TOKENS]

    left = math.floor(share * limit)
    assert 0 < rate(0) <= rate(left) <= rate(limit) <= 1.8 * limit / 60 + 1e-9
    capped = observed(Quota(NAME), [Left(Unit.TOKENS, limit + 1, limit + 1)], START)
    assert standing(capped, {Unit.TOKENS: limit}, START).rates[Unit.TOKENS] <= limit / 60
