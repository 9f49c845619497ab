"""Connections that break, or that are no longer good: above all, whether anything was sent."""

import asyncio
import socket

import pytest

from pipelines.providers.transport.protocol import Answer, Kind, TransportFailure
from tests.fakes.http_peer import LOOPS, OK, Asked, Line, NewLoop, ask, client, peer, repeating, run
from tests.fakes.ports import free_port

pytestmark = LOOPS


def failed(result: object) -> TransportFailure:
    assert isinstance(result, TransportFailure)
    return result


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "no-such-name.invalid"])
def test_where_nobody_listens_nothing_is_sent(new_loop: NewLoop, host: str) -> None:
    async def scenario() -> None:
        async with client() as through:
            failure = failed(await ask(through, f"http://{host}:{free_port()}/"))
            assert (failure.kind, failure.sent, failure.status) == (Kind.CONNECT, False, None)
            assert host.strip("[]") in failure.message

    run(new_loop, scenario)


def test_a_name_that_is_looked_up_by_many_at_once_is_looked_up_once(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        loop, lookups = asyncio.get_running_loop(), 0

        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            nonlocal lookups
            lookups += 1
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign,assignment]
        async with peer(repeating(OK)) as server, client() as through:
            asked = [Asked(through, f"http://provider.test:{server.port}/") for _ in range(20)]
            asked[3].cancel()
            results = [await one.result() for one in asked if one is not asked[3]]
            assert all(isinstance(result, Answer) for result in results)
            assert lookups == 1

    if new_loop is asyncio.new_event_loop:  # uvloop's cannot be replaced
        run(new_loop, scenario)


BREAKS = {
    "before the answer": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_connection_that_breaks_after_the_request_went_out_is_not_tried_again(
    new_loop: NewLoop, name: str, kept: bool
) -> None:
    async def scenario() -> None:
        requests = 0

        async def talk(line: Line) -> None:
            nonlocal requests
            if kept:
                await line.answer()
            await line.answer(BREAKS[name])
            requests += 1

        async with peer(talk) as server, client() as through:
            if kept:
                assert isinstance(await ask(through, server.url), Answer)
            failure = failed(await ask(through, server.url))
            assert (failure.kind, failure.sent) == (Kind.LOST, True)
            assert failure.status == (200 if "chunk" in name or name == "in the body" else None)
            assert (requests, server.connections) == (1, 1)

    run(new_loop, scenario)


def test_a_connection_that_is_reset_is_lost(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async def talk(line: Line) -> None:
            await line.head()  # what is unread when it closes makes it a reset
            line.writer.transport.abort()

        async with peer(talk) as server, client() as through:
            failure = failed(await ask(through, server.url, body=b"x" * 3_000_000))
            assert (failure.kind, failure.sent) == (Kind.LOST, True)

    run(new_loop, scenario)


def test_a_kept_connection_that_the_loop_knows_to_be_closed_is_not_used(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        closing = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer()
            line.writer.write_eof()
            await line.closed()
            closing.set()

        async with peer(talk) as server, client() as through:
            for number in (1, 2):
                assert isinstance(await ask(through, server.url), Answer)
                await closing.wait()
                closing.clear()
                assert server.connections == number

    run(new_loop, scenario)


def test_a_kept_connection_that_is_closed_and_the_loop_has_not_seen_it_is_not_used_either(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop, url = asyncio.get_running_loop(), f"http://127.0.0.1:{listener.getsockname()[1]}/"
            listener.setblocking(False)

            async def served() -> socket.socket:
                line, _ = await loop.sock_accept(listener)
                line.setblocking(False)
                while b"{}" not in await loop.sock_recv(line, 4096):
                    pass
                await loop.sock_sendall(line, OK)
                return line

            async with client() as through:
                first = Asked(through, url)
                line = await served()
                assert isinstance(await first.result(), Answer)
                line.close()
                second = Asked(through, url)  # the loop had no turn since
                with await served():
                    assert isinstance(await second.result(), Answer)

    run(new_loop, scenario)


@pytest.mark.parametrize("late", [b"and more", OK, b"\r\n"])
def test_bytes_that_come_when_nothing_was_asked_close_the_connection(new_loop: NewLoop, late: bytes) -> None:
    async def scenario() -> None:
        answered, closed = asyncio.Event(), asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer()
            await answered.wait()
            await line.send(late)
            await line.closed()
            closed.set()

        async with peer(talk) as server, client() as through:
            assert isinstance(await ask(through, server.url), Answer)
            answered.set()
            await closed.wait()
            assert isinstance(await ask(through, server.url), Answer)
            assert server.connections == 2

    run(new_loop, scenario)


def test_an_idle_connection_is_closed_in_time(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer()
            await line.closed()
            closed.set()

        async with peer(talk) as server, client(keep_alive=0.05) as through:
            assert isinstance(await ask(through, server.url), Answer)
            await closed.wait()

    run(new_loop, scenario)


def test_the_connection_that_was_used_last_is_used_next(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        both, used = asyncio.Barrier(2), []

        async def talk(line: Line) -> None:
            number = server.connections
            await line.request()
            await both.wait()
            await line.send(OK)
            while True:
                await line.answer()
                used.append(number)

        async with peer(talk) as server, client() as through:
            for one in [Asked(through, server.url), Asked(through, server.url)]:
                await one.result()
            for _ in range(5):
                await ask(through, server.url)
            assert server.connections == 2
            assert len(set(used)) == 1

    run(new_loop, scenario)


def test_an_answer_that_is_said_twice_answers_no_other_request(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        first, again = asyncio.Event(), asyncio.Event()

        async def talk(line: Line) -> None:
            await line.request()
            if first.is_set():
                await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
            else:
                first.set()
                await line.send(OK)
                await again.wait()
                await line.send(OK)
            await line.closed()

        async with peer(talk) as server, client(settles=60.0, keep_alive=90.0) as through:
            assert isinstance(await ask(through, server.url), Answer)
            later = Asked(through, server.url)
            again.set()
            answer = await later.result()
            assert isinstance(answer, Answer)
            assert answer.body == b"new"

    run(new_loop, scenario)


def test_an_early_answer_counts_and_its_connection_is_closed(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        answered = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.head()
            await line.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await answered.wait()

        async with peer(talk) as server, client() as through:
            answer = await ask(through, server.url, body=b"x" * 20_000_000)
            assert isinstance(answer, Answer)
            assert answer.status == 413
            answered.set()
            await ask(through, server.url)
            assert server.connections == 2

    run(new_loop, scenario)
