"""A histogram that takes a batch shows what it shows after one value at a time."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from synthralos.telemetry.metrics import BatchHistogram

BOUNDS = (0.5, 1.0, 2.0, 10.0)
AMOUNTS = st.lists(st.one_of(st.sampled_from([0.0, *BOUNDS, 11.0]), st.integers(0, 1_000).map(float)), max_size=50)


@given(batches=st.lists(AMOUNTS, max_size=5))
def test_batches_are_counted_like_single_values(batches: list[list[float]]) -> None:
    at_once, one_by_one = CollectorRegistry(), CollectorRegistry()
    batch = BatchHistogram("seconds", "of calls", buckets=BOUNDS, registry=at_once)
    single = Histogram("seconds", "of calls", buckets=BOUNDS, registry=one_by_one)
    for amounts in batches:
        batch.observe_all(amounts)
        for amount in amounts:
            single.observe(amount)
    shown = [
        [line for line in generate_latest(registry).splitlines() if b"_created" not in line]
        for registry in (at_once, one_by_one)
    ]
    assert shown[0] == shown[1]
