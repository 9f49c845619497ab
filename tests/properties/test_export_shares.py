"""Every destination falls to one process that can ship there, and no process has much more to do than another."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workers.export_turns import assigned

NAMES = st.sampled_from(["jsonl", "langfuse", "otlp", "rudderstack", "another"])
SERVING = st.dictionaries(st.uuids().map(str), st.lists(NAMES, unique=True), max_size=6)


@given(SERVING)
def test_each_destination_falls_to_one_that_can_ship_there(serving: dict[str, list[str]]) -> None:
    chosen = assigned(serving)
    assert set(chosen) == {name for names in serving.values() for name in names}
    assert all(name in serving[process] for name, process in chosen.items())


@given(st.sets(st.uuids().map(str), min_size=1, max_size=6), st.sets(NAMES))
def test_those_that_can_ship_anywhere_share_evenly(processes: set[str], names: set[str]) -> None:
    loads = Counter(assigned(dict.fromkeys(processes, sorted(names))).values())
    assert max(loads.values(), default=0) <= -(-len(names) // len(processes))


@given(SERVING)
def test_all_come_to_the_same_in_whatever_order_they_see_the_others(serving: dict[str, list[str]]) -> None:
    assert assigned(serving) == assigned(dict(reversed(list(serving.items()))))
