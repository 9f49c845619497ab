"""The line of requests that wait while others open their connections: who is served, and when nobody is."""

import asyncio

import pytest

from pipelines.providers.transport import client as under_test
from pipelines.providers.transport.protocol import Answer, Kind, Timeouts, TransportFailure
from tests.fakes.http_peer import LONG, LOOPS, OK, Asked, Line, NewLoop, client, peer, repeating, run

pytestmark = LOOPS
SOON = Timeouts(0.06, 10.0, 10.0, 10.0)


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MOST_DIALS", 2)


class Mute:
    """A server that takes connections and never says a word of TLS, so that none is ever open."""

    def __init__(self) -> None:
        self.came = asyncio.Semaphore(0)

    async def talk(self, line: Line) -> None:
        self.came.release()
        await line.closed()


def never_sent(result: object) -> None:
    assert isinstance(result, TransportFailure)
    assert (result.kind, result.sent) == (Kind.CONNECT, False)


def test_so_many_connections_are_opened_at_once_and_the_next_when_one_was_given_up(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        mute = Mute()
        async with peer(mute.talk) as server, client() as through:
            url = f"https://127.0.0.1:{server.port}/"
            first, second, cancelled, third = (Asked(through, url) for _ in range(4))
            for _ in range(2):
                await mute.came.acquire()
            assert server.connections == 2
            cancelled.cancel()
            first.cancel()
            await mute.came.acquire()
            assert server.connections == 3
        for closed_upon in (second, third):
            never_sent(await closed_upon.result())
        assert first.results == cancelled.results == []

    run(new_loop, scenario)


def test_who_waits_in_the_line_for_too_long_has_sent_nothing(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        mute = Mute()
        async with peer(mute.talk) as server, client() as through:
            url = f"https://127.0.0.1:{server.port}/"
            opening = [Asked(through, url, timeouts=LONG) for _ in range(2)]
            never_sent(await Asked(through, url, timeouts=SOON).result())
            assert [asked.results for asked in opening] == [[], []]

    run(new_loop, scenario)


def test_where_nobody_listens_everybody_in_the_line_is_told(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK)) as server:
            url = server.url
        async with client() as through:
            for asked in [Asked(through, url) for _ in range(7)]:
                never_sent(await asked.result())

    run(new_loop, scenario)


@pytest.mark.parametrize("settles", [0.0, 0.005])
def test_everybody_in_the_line_is_answered(new_loop: NewLoop, settles: float) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK)) as server, client(settles=settles) as through:
            for asked in [Asked(through, server.url) for _ in range(50)]:
                assert isinstance(await asked.result(), Answer)

    run(new_loop, scenario)
