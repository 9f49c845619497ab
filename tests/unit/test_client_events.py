"""Following a job's events: reading the stream, and going on where it broke."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos_client import AsyncClient, Client, ConnectError, Event, NotFound
from synthralos_client.config import Config
from synthralos_client.events import EventReader
from tests.fakes.scripted_server import DROPPED, Answer, ScriptedServer, scripted_server

STREAM = {"Content-Type": "text/event-stream"}

Follow = Callable[[str], list[Event]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def in_sync(url: str) -> list[Event]:
    with Client(url, "sk-syn-test", max_retries=2) as client:
        return list(client.events("j1"))


def in_async(url: str) -> list[Event]:
    async def main() -> list[Event]:
        async with AsyncClient(url, "sk-syn-test", max_retries=2) as client:
            return [event async for event in client.events("j1")]

    return asyncio.run(main())


@pytest.fixture(params=[in_sync, in_async], ids=["sync", "async"])
def follow(request: pytest.FixtureRequest) -> Follow:
    return request.param  # type: ignore[no-any-return]


def stream(*blocks: str, drop: bool = False) -> Answer:
    return Answer(200, "".join(blocks).encode(), STREAM, drop=drop)


def entry(event_id: str, kind: str = "state") -> str:
    return f'id: {event_id}\nevent: {kind}\ndata: {{"n": "{event_id}"}}\n\n'


def test_events_are_read_up_to_done(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(stream(": hello\n\n", entry("1"), ": beat\n\n", entry("2", "span"), entry("3", "done")))
    assert [(event.id, event.kind, event.data["n"]) for event in follow(server.url)] == [
        ("1", "state", "1"),
        ("2", "span", "2"),
        ("3", "done", "3"),
    ]
    assert server.asked[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("drop", [True, False], ids=["broken", "closed"])
def test_a_stream_that_ends_early_is_resumed_after_the_last_event(
    server: ScriptedServer, follow: Follow, drop: bool
) -> None:
    half = 'id: 3\nevent: state\ndata: {"n"'
    server.answer_in_turn(stream(entry("1"), entry("2"), half, drop=drop), stream(entry("3"), entry("4", "done")))
    assert [event.id for event in follow(server.url)] == ["1", "2", "3", "4"]
    assert "last-event-id" not in server.asked[0].headers
    assert server.asked[1].headers["last-event-id"] == "2"


def test_events_keep_coming_over_more_broken_streams_than_there_are_retries(
    server: ScriptedServer, follow: Follow
) -> None:
    broken = [stream(entry(str(number)), drop=True) for number in range(5)]
    server.answer_in_turn(*broken, stream(entry("5", "done")))
    assert [event.id for event in follow(server.url)] == ["0", "1", "2", "3", "4", "5"]


def test_a_busy_server_is_asked_again(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(DROPPED, Answer(503, {}, {"Retry-After": "0"}), stream(entry("1", "done")))
    assert [event.kind for event in follow(server.url)] == ["done"]


def test_a_server_that_never_brings_anything_is_given_up(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(stream(drop=True))
    with pytest.raises(ConnectError):
        follow(server.url)
    assert len(server.asked) == 3


def test_a_job_that_does_not_exist_has_no_events(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(Answer(404, {}))
    with pytest.raises(NotFound):
        follow(server.url)


def test_line_separators_inside_the_data_stay_there(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(stream('id: 1\r\nevent: done\r\ndata: {"text": "a\u2028b\u0085c"}\r\n\r\n'))
    assert follow(server.url)[0].data == {"text": "a\u2028b\u0085c"}


def test_data_may_stand_on_several_lines(server: ScriptedServer, follow: Follow) -> None:
    server.answer_in_turn(stream('event:done\ndata:{"a":\ndata: 1}\n\n'))
    assert follow(server.url)[0].data == {"a": 1}


def test_following_can_begin_after_an_event_that_was_seen_before(server: ScriptedServer) -> None:
    server.answer_in_turn(stream(entry("9", "done")))
    with Client(server.url, "sk-syn-test") as client:
        list(client.events("j1", last_event_id="8"))
    assert server.asked[0].headers["last-event-id"] == "8"


@given(st.lists(st.sampled_from(["1", "22", "ü☃"]), min_size=1, max_size=5), st.lists(st.integers(1, 40), max_size=60))
def test_however_the_bytes_are_cut_the_events_are_the_same(names: list[str], cuts: list[int]) -> None:
    reader, left, found = (
        EventReader("j1", Config("http://127.0.0.1", "k", 1.0, 0), None),
        "".join(map(entry, names)).encode(),
        [],
    )
    for cut in [*cuts, len(left)]:
        piece, left = left[:cut], left[cut:]
        found += reader.feed(piece)
    found += reader.feed(left)
    assert [event.data["n"] for event in found] == names
