"""What destinations answer, and what becomes of what was sent: nothing is lost, and a bad item holds up nobody."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.analyze.exporters.http_replies import LONGEST_REST, reply_of
from pipelines.analyze.exporters.splitting import SHIPMENT_SECONDS, Fault, Packed, Refusal, Reply, Splitter
from pipelines.posting import Posted
from synthralos.domain.exports import Rest

INVALID = Refusal(Fault.INVALID, "bad")
LARGE = Refusal(Fault.TOO_LARGE, "large")
STOPPED = Rest(600, "it refuses everything", stopped=True)


class Place:
    """Answers by what is in a request, and remembers all of them."""

    def __init__(self, answer: Callable[[Sequence[Packed]], Reply]) -> None:
        self.requests: list[list[str]] = []
        self._answer = answer

    def send(self, packed: Sequence[Packed]) -> Reply:
        self.requests.append([each.key for each in packed])
        return self._answer(packed)


def packed(count: int, *bad: int, size: int = 10) -> list[Packed]:
    return [Packed(str(place), b"b" if place in bad else b"x" * size) for place in range(count)]


def bad_ones(sent: Sequence[Packed]) -> Reply:
    return INVALID if any(each.body == b"b" for each in sent) else None


def test_all_are_sent_in_requests_of_so_many() -> None:
    place = Place(lambda sent: None)
    told = Splitter(place.send, 10**6).send(packed(45), 20)
    assert (len(told.accepted), told.refused, told.rest) == (45, {}, None)
    assert [len(each) for each in place.requests] == [20, 20, 5]


@given(st.lists(st.integers(1, 30_000), max_size=200), st.integers(1, 50), st.integers(30_000, 200_000))
def test_requests_hold_all_in_order_within_both_bounds(sizes: list[int], most: int, most_bytes: int) -> None:
    place = Place(lambda sent: None)
    items = [Packed(str(number), b"x" * size) for number, size in enumerate(sizes)]
    assert Splitter(place.send, most_bytes).send(items, most).accepted == [each.key for each in items]
    assert all(0 < len(request) <= most for request in place.requests)
    assert all(sum(sizes[int(key)] for key in request) <= most_bytes for request in place.requests)


@given(st.sets(st.integers(0, 29)).filter(lambda bad: len(bad) < 30))
def test_the_bad_ones_are_found_and_all_others_are_accepted(bad: set[int]) -> None:
    place = Place(bad_ones)
    told = Splitter(place.send, 10**6).send(packed(30, *bad), 20)
    assert set(told.refused) == {str(each) for each in bad}
    assert {*told.accepted} == {str(each) for each in range(30)} - set(told.refused)
    assert told.rest is None
    assert len(place.requests) <= 2 + 11 * len(bad)


def test_where_everything_may_be_refused_nobody_is_blamed_before_a_check() -> None:
    place = Place(lambda sent: INVALID)
    told = Splitter(place.send, 10**6, lambda: STOPPED).send(packed(400), 100)
    assert (told.accepted, told.refused, told.rest) == ([], {}, STOPPED)
    assert len(place.requests) < 12


def test_a_lone_bad_one_is_refused_where_the_check_finds_nothing() -> None:
    checks: list[None] = []
    told = Splitter(Place(bad_ones).send, 10**6, lambda: checks.append(None)).send(packed(1, 0))
    assert (told.refused, told.rest, len(checks)) == ({"0": "bad"}, None, 1)


def test_what_is_too_large_goes_in_parts_and_later_requests_are_small_from_the_start() -> None:
    place = Place(lambda sent: LARGE if sum(len(each.body) for each in sent) > 90_000 else None)
    splitter = Splitter(place.send, 10**6)
    many, requests = packed(16, size=10_000), []
    for _ in range(3):
        place.requests.clear()
        assert len(splitter.send(many).accepted) == 16
        requests.append(len(place.requests))
    assert requests[-1] == 2, "none of them was refused"
    assert requests[-1] < requests[0]


def test_one_that_is_too_large_alone_goes_in_its_smaller_form_and_then_is_refused() -> None:
    place = Place(lambda sent: LARGE)
    told = Splitter(place.send, 10**6).send([Packed("one", b"x" * 100, lambda: b"x" * 10)])
    assert (told.refused, place.requests) == ({"one": "large"}, [["one"], ["one"]])


def test_where_the_destination_goes_away_the_rest_is_neither_accepted_nor_refused() -> None:
    def away(sent: Sequence[Packed]) -> Reply:
        if len(place.requests) > 1:
            raise ConnectionError("away")
        return None

    place = Place(away)
    told = Splitter(place.send, 10**6).send(packed(60), 20)
    assert (told.accepted, told.refused, told.error) == ([str(each) for each in range(20)], {}, "away")


def test_where_it_answers_to_nothing_that_is_raised() -> None:
    def gone(_: Sequence[Packed]) -> Reply:
        raise TimeoutError("no answer in time")

    with pytest.raises(TimeoutError):
        Splitter(gone, 10**6).send(packed(3))


def test_no_request_is_begun_when_a_shipment_has_taken_too_long() -> None:
    clock = iter([0.0, 1.0, SHIPMENT_SECONDS + 1])
    place = Place(lambda sent: None)
    told = Splitter(place.send, 10**6, clock=lambda: next(clock)).send(packed(3), 1)
    assert (told.accepted, told.refused, len(place.requests)) == (["0"], {}, 1)
    assert told.error is not None


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(200, None), (202, None), (204, None), (207, INVALID), (301, STOPPED), (400, INVALID), (401, STOPPED),
     (403, STOPPED), (404, STOPPED), (405, STOPPED), (408, OSError), (413, LARGE), (422, INVALID), (429, OSError),
     (500, OSError), (502, OSError), (503, OSError), (504, OSError)],
)  # fmt: skip
def test_each_status_means_something(status: int, meaning: Reply | type[OSError]) -> None:
    if isinstance(meaning, type):
        with pytest.raises(meaning):
            reply_of(Posted(status, {}, b"no"))
        return
    reply = reply_of(Posted(status, {}, b"no"))
    assert type(reply) is type(meaning)
    if isinstance(reply, Refusal):
        assert isinstance(meaning, Refusal)
        assert reply.fault is meaning.fault
    if isinstance(reply, Rest):
        assert reply.stopped


def test_a_page_for_people_is_no_answer_of_the_destination() -> None:
    reply = reply_of(Posted(200, {"content-type": "text/html; charset=utf-8"}, b"<html>log in"))
    assert isinstance(reply, Rest)
    assert reply.stopped


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_destination_may_say_for_how_long_and_by_a_date_too(status: int) -> None:
    def rest(**headers: str) -> float:
        reply = reply_of(Posted(status, {name.replace("_", "-"): value for name, value in headers.items()}, b""))
        assert isinstance(reply, Rest)
        assert not reply.stopped
        return reply.seconds

    assert rest(retry_after="7") == 7
    assert rest(retry_after="86400") == LONGEST_REST
    dates = {"date": "Thu, 01 Jan 2026 12:00:00 GMT", "retry_after": "Thu, 01 Jan 2026 12:00:42 GMT"}
    assert rest(**dates) == 42
