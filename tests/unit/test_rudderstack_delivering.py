"""What the answers of a data plane mean: nothing is taken for accepted that is not, and a bad event holds up nobody."""

from collections.abc import Callable, Sequence

import pytest

from pipelines.analyze.exporters.rudderstack.delivering import Answered, Delivery, Fate, answered
from pipelines.providers.transport.protocol import Answer, Kind, TransportFailure

HARMLESS = b"harmless"
OK = Answered(Fate.ACCEPTED)
BAD = Answered(Fate.SPLIT, "bad")
LARGE = Answered(Fate.SPLIT, "large", too_large=True)
AWAY = Answered(Fate.LATER, "away")


class Plane:
    """Answers by what is in a request, and remembers all of them."""

    def __init__(self, answer: Callable[[Sequence[bytes]], Answered]) -> None:
        self.requests: list[list[bytes]] = []
        self._answer = answer

    def post(self, events: Sequence[bytes]) -> Answered:
        self.requests.append(list(events))
        return self._answer(events)


def delivery(plane: Plane) -> Delivery:
    return Delivery(plane.post, lambda: HARMLESS)


def events(count: int, *bad: int) -> list[bytes]:
    return [b"bad" if place in bad else b"good" for place in range(count)]


@pytest.mark.parametrize(
    ("status", "fate"),
    [(200, "accepted"), (202, "later"), (204, "later"), (301, "closed"), (400, "split"), (401, "closed"),
     (403, "closed"), (404, "closed"), (405, "closed"), (408, "later"), (413, "split"), (422, "closed"),
     (429, "later"), (500, "later"), (502, "later"), (503, "later"), (504, "later")],
)  # fmt: skip
def test_each_status_means_something(status: int, fate: str) -> None:
    assert answered(Answer(status, {}, b"OK")).fate == fate


def test_no_answer_means_later() -> None:
    assert answered(TransportFailure(Kind.LOST, "the connection broke off", sent=True)).fate is Fate.LATER


def test_the_data_plane_may_say_how_long_to_wait_and_need_not() -> None:
    assert answered(Answer(429, {b"retry-after": b"7"}, b"")).retry_after == 7
    assert answered(Answer(429, {}, b"")).retry_after is None
    assert answered(Answer(429, {b"retry-after": b"Wed, 21 Oct"}, b"")).retry_after is None


def test_all_are_accepted_in_requests_of_so_many() -> None:
    plane = Plane(lambda events: OK)
    done = delivery(plane).deliver(events(45), 20)
    assert (len(done.accepted), done.poisoned, done.stopped) == (45, {}, None)
    assert [len(each) for each in plane.requests] == [20, 20, 5]


@pytest.mark.parametrize("bad", [(0,), (19,), (7,), (0, 1), (3, 17, 25)])
def test_the_poisoned_events_are_found_and_all_others_are_accepted(bad: tuple[int, ...]) -> None:
    plane = Plane(lambda events: BAD if b"bad" in events else OK)
    done = delivery(plane).deliver(events(30, *bad), 20)
    assert set(done.poisoned) == set(bad)
    assert done.accepted == set(range(30)) - set(bad)
    assert done.stopped is None
    assert len(plane.requests) <= 2 + 11 * len(bad)


def test_a_lone_poisoned_event_is_set_aside_after_a_look_whether_others_would_be_taken() -> None:
    plane = Plane(lambda events: BAD if b"bad" in events else OK)
    done = delivery(plane).deliver([b"bad"], 20)
    assert (set(done.poisoned), done.stopped) == ({0}, None)
    assert plane.requests == [[b"bad"], [HARMLESS]]


def test_where_everything_is_refused_nothing_is_blamed_and_few_requests_are_made() -> None:
    plane = Plane(lambda events: BAD)
    done = delivery(plane).deliver(events(400), 100)
    assert (done.accepted, done.poisoned) == (set(), {})
    assert done.stopped is not None
    assert done.stopped.fate is Fate.CLOSED
    assert len(plane.requests) < 12


def test_what_is_too_large_goes_in_parts_and_later_requests_are_small_from_the_start() -> None:
    plane = Plane(lambda events: LARGE if sum(map(len, events)) > 40_000 else OK)
    sent = delivery(plane)
    many = [b"x" * 10_000] * 16
    assert len(sent.deliver(many, 100).accepted) == 16
    tried = len(plane.requests)
    assert len(sent.deliver(many, 100).accepted) == 16
    assert len(plane.requests) - tried <= 6


def test_where_the_data_plane_goes_away_the_rest_is_neither_accepted_nor_blamed() -> None:
    answers = iter([OK, AWAY])
    done = delivery(Plane(lambda events: next(answers))).deliver(events(60), 20)
    assert (done.accepted, done.poisoned, done.stopped) == (set(range(20)), {}, AWAY)


def test_a_data_plane_that_goes_away_in_the_search_for_a_bad_event_blames_nobody() -> None:
    answers = iter([BAD, OK, AWAY])
    done = delivery(Plane(lambda events: next(answers))).deliver(events(4), 20)
    assert (done.accepted, done.poisoned, done.stopped) == ({0, 1}, {}, AWAY)
