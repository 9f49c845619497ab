"""What an API process holds of bodies: bounded, with room for small ones, and none for those that stopped sending."""

import pytest

from api.http.bodies_in_flight import SILENT_SECONDS, SMALL_BODY, BodiesInFlight
from api.http.problems import Problem

MOST = 10 * SMALL_BODY


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(bodies: BodiesInFlight, size: int) -> Problem:
    with pytest.raises(Problem) as caught, bodies.place() as place:
        bodies.grow(place, size)
    return caught.value


def test_small_bodies_count_for_nothing() -> None:
    bodies = BodiesInFlight(MOST, Clock())
    with bodies.place() as large, bodies.place() as small:
        bodies.grow(large, MOST)
        bodies.grow(small, SMALL_BODY)
        assert bodies.held == MOST


def test_what_has_no_room_is_told_to_come_again() -> None:
    bodies = BodiesInFlight(MOST, Clock())
    with bodies.place() as first:
        bodies.grow(first, MOST)
        problem = refused(bodies, SMALL_BODY + 1)
        assert (problem.status, problem.headers["Retry-After"]) == (503, "1")
        assert bodies.held == MOST
    assert bodies.held == 0
    with bodies.place() as second:
        bodies.grow(second, MOST)


def test_a_body_counts_once_however_many_pieces_it_comes_in() -> None:
    bodies = BodiesInFlight(MOST, Clock())
    with bodies.place() as place:
        for size in range(SMALL_BODY, MOST + 1, SMALL_BODY):
            bodies.grow(place, size)
        assert bodies.held == MOST
    assert bodies.held == 0


def test_those_that_stopped_sending_make_room_the_most_silent_first() -> None:
    clock = Clock()
    bodies = BodiesInFlight(MOST, clock)
    with bodies.place() as silent, bodies.place() as sending, bodies.place() as new:
        bodies.grow(silent, MOST // 2 - 1)
        bodies.grow(sending, MOST // 2 - 1)
        clock.now = SILENT_SECONDS
        bodies.grow(sending, MOST // 2)
        bodies.grow(new, MOST // 2)
        assert (silent.evicted, sending.evicted, new.evicted) == (True, False, False)
        assert bodies.held == MOST
    assert bodies.held == 0


def test_a_whole_body_is_worked_on_and_keeps_its_place() -> None:
    clock = Clock()
    bodies = BodiesInFlight(MOST, clock)
    with bodies.place() as done:
        bodies.grow(done, MOST)
        bodies.whole(done)
        clock.now = 10 * SILENT_SECONDS
        assert refused(bodies, 2 * SMALL_BODY).status == 503
        assert not done.evicted
