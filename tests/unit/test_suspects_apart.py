"""How the suspects of a worker's death are set apart in time."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.states import State
from synthralos.store.queue.suspects import fates_of

_LEAST_APART = 0.05
"""Of the seconds over which a worker's suspects are spread: two of twenty."""


def _orphans(losses: list[int], worker: str = "w") -> list[Any]:
    return [SimpleNamespace(id=f"{worker}{number}", worker_id=worker, losses=n) for number, n in enumerate(losses)]


@given(st.lists(st.integers(1, 14), min_size=2, max_size=20))
def test_no_two_suspects_of_a_worker_come_due_together_however_often_each_was_lost(losses: list[int]) -> None:
    fates = fates_of(_orphans(losses), max_losses=2)
    delays = sorted(fate["delay"] for fate in fates)
    assert {fate["state"] for fate in fates} == {State.PARKED}
    assert all(later - sooner >= _LEAST_APART * delays[-1] * 0.999 for sooner, later in pairwise(delays))


def test_what_was_lost_most_often_is_called_first() -> None:
    fates = {fate["id"]: fate["delay"] for fate in fates_of(_orphans([3, 8, 1]), max_losses=2)}
    assert min(fates, key=fates.__getitem__) == "w1"


def test_a_worker_s_suspects_wait_for_their_own_worker_s_sake_alone() -> None:
    fates = fates_of([*_orphans([1, 1]), *_orphans([14], "x")], max_losses=2)
    by_id = {fate["id"]: fate for fate in fates}
    assert by_id["x0"]["state"] == State.FAILED
    assert max(by_id["w0"]["delay"], by_id["w1"]["delay"]) == 12.0
