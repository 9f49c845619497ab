"""Trends that will be over their limit, told ahead, and noise that will not."""

import numpy as np
import pytest

from synthralos.domain.forecasts import AHEAD, EVERY, Trend


def fed(levels: list[float], limit: float) -> Trend:
    trend = Trend()
    for level in levels:
        trend.add(level, limit, EVERY)
    return trend


def test_a_steady_rise_is_foreseen_with_the_time_that_is_left() -> None:
    trend = fed([60.0 * minute for minute in range(1, 46)], 3_600.0)
    assert trend.foreseen
    assert trend.reaches(3_600.0) == pytest.approx(15 * 60.0, rel=0.05)


def test_what_is_far_away_or_falls_is_not_foreseen() -> None:
    assert not fed([1.0 * minute for minute in range(1, 40)], 3_600.0).foreseen
    assert not fed([2_000.0 - 20.0 * minute for minute in range(40)], 3_600.0).foreseen
    assert not fed([100.0] * 40, 110.0).foreseen


def test_a_rise_that_stops_is_taken_back() -> None:
    rising = [60.0 * minute for minute in range(1, 40)]
    assert fed(rising, 3_600.0).foreseen
    assert not fed([*rising, *[2_340.0] * 40], 3_600.0).foreseen


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_trend(seed: int) -> None:
    random = np.random.default_rng(seed)
    trend, foreseen = Trend(), 0
    for _ in range(5_000):
        trend.add(float(random.poisson(3) / 200), 0.025, EVERY)
        foreseen += trend.foreseen
    assert foreseen == 0
    assert AHEAD > 0
