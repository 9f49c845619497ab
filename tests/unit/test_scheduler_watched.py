"""Recurring jobs look when there is reason to."""

import pytest

from scheduler.watched import Watched


class Place:
    """A job that counts its rounds; `leads` and `left` are what it says."""

    def __init__(self) -> None:
        self.now, self.rounds, self.leads, self.left = 0.0, 0, True, False
        self.watched = Watched(self._round, lambda: self.left, idle=5.0, clock=lambda: self.now)

    def _round(self) -> bool:
        self.rounds += 1
        return self.leads

    def counted(self, *moments: float) -> list[int]:
        """The rounds made by each of these moments."""
        found = []
        for self.now in moments:
            self.watched()
            found.append(self.rounds)
        return found


def test_nothing_to_do_is_looked_for_seldom() -> None:
    assert Place().counted(0, 1, 4.9, 5, 6, 10) == [1, 1, 1, 2, 2, 3]


def test_what_is_heard_of_is_looked_at_at_once_and_once() -> None:
    place = Place()
    assert place.counted(0, 1) == [1, 1]
    place.watched.hear(["id"])
    assert place.counted(1.5, 2) == [2, 2]


def test_what_is_under_way_is_looked_at_each_time() -> None:
    place = Place()
    place.left = True
    assert place.counted(0, 0.5, 1) == [1, 2, 3]


def test_who_does_not_lead_asks_again_each_time() -> None:
    place = Place()
    place.leads = False
    assert place.counted(0, 1, 2) == [1, 2, 3]


def test_a_round_that_fails_comes_again() -> None:
    place = Place()

    def fail() -> bool:
        place.rounds += 1
        raise ValueError("broken")

    watched = Watched(fail, lambda: False, clock=lambda: 0.0)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            watched()
    assert place.rounds == 2
