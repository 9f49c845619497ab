from random import Random

import pytest

from synthralos.domain.backoff import Backoff


@pytest.mark.parametrize(("retry", "ceiling"), [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (100_000, 60.0)])
def test_the_ceiling_doubles_up_to_the_cap(retry: int, ceiling: float) -> None:
    assert Backoff(base=1.0, factor=2.0, cap=60.0).ceiling(retry) == ceiling


def test_jitter_spreads_over_the_whole_range() -> None:
    rng = Random(1)
    waits = [Backoff(base=1.0, cap=10.0).seconds(10, rng) for _ in range(1_000)]
    assert min(waits) < 1.0
    assert max(waits) > 9.0
    assert 4.5 < sum(waits) / len(waits) < 5.5


def test_the_same_rng_gives_the_same_waits() -> None:
    backoff = Backoff(base=1.0)
    assert backoff.seconds(3, Random(7)) == backoff.seconds(3, Random(7))
