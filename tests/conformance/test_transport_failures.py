"""Connections that break, time that runs out, requests that are cancelled: above all, whether anything was sent."""

import asyncio
import resource
import socket

import pytest

from pipelines.providers.transport.protocol import Answer, Kind, Limits, Timeouts, TransportFailure
from tests.fakes.http_peer import LONG, LOOPS, OK, Asked, Line, NewLoop, ask, client, peer, repeating, run, silent

pytestmark = LOOPS
SHORT = 0.06


def within(**seconds: float) -> Timeouts:
    return Timeouts(**{"connect": 10.0, "first_byte": 10.0, "idle": 10.0, "total": 10.0, **seconds})


def failed(result: object) -> TransportFailure:
    assert isinstance(result, TransportFailure)
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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


# Time


async def stalls(line: Line) -> None:
    await line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    await line.closed()


async def trickles(line: Line) -> None:
    await line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{")
    while not line.writer.is_closing():
        await line.send(b" ")
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("talk", "timeouts", "says"),
    [
        (silent, within(first_byte=SHORT), "no answer"),
        (silent, within(total=SHORT), "no whole answer"),
        (stalls, within(idle=SHORT), "stood still"),
        (stalls, within(total=SHORT), "no whole answer"),
        (trickles, within(total=SHORT, idle=0.05), "no whole answer"),
    ],
)
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_time_that_runs_out_after_sending_is_a_timeout_and_closes_the_connection(
    new_loop: NewLoop, talk: object, timeouts: Timeouts, says: str, kept: bool
) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def watched(line: Line) -> None:
            if kept:
                await line.answer()
            try:
                await talk(line)  # type: ignore[operator]
            finally:
                closed.set()

        async with peer(watched) as server, client() as through:
            if kept:
                assert isinstance(await ask(through, server.url), Answer)
            loop = asyncio.get_running_loop()
            before = loop.time()
            failure = failed(await ask(through, server.url, timeouts=timeouts))
            assert SHORT - 0.01 <= loop.time() - before < 5
            assert (failure.kind, failure.sent) == (Kind.TIMEOUT, True)
            assert says in failure.message
            await closed.wait()

    run(new_loop, scenario)


def test_time_that_runs_out_while_connecting_is_no_timeout_because_nothing_was_sent(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def talk(line: Line) -> None:  # and never a word of TLS
            await line.closed()
            closed.set()

        async with peer(talk) as server, client() as through:
            url = f"https://127.0.0.1:{server.port}/"
            failure = failed(await ask(through, url, timeouts=within(connect=SHORT)))
            assert (failure.kind, failure.sent) == (Kind.CONNECT, False)
            await closed.wait()

    run(new_loop, scenario)


def test_the_time_to_the_first_byte_runs_from_when_the_body_was_written(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        reading = asyncio.Event()

        async def talk(line: Line) -> None:
            line.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await reading.wait()
            line.reader._transport.resume_reading()  # type: ignore[attr-defined]
            await line.answer()
            await line.closed()

        async with peer(talk) as server, client() as through:
            asked = Asked(through, server.url, body=b"x" * 20_000_000, timeouts=within(first_byte=1.0))
            asyncio.get_running_loop().call_later(1.5, reading.set)
            assert isinstance(await asked.result(), Answer)

    run(new_loop, scenario)


# Cancelling and closing


@pytest.mark.parametrize("tls", [False, True], ids=["sent", "connecting"])
def test_cancelling_closes_the_connection_and_tells_nobody(new_loop: NewLoop, tls: bool) -> None:
    async def scenario() -> None:
        came, closed = asyncio.Event(), asyncio.Event()

        async def talk(line: Line) -> None:
            await line.reader.read(1)
            came.set()
            await line.closed()
            closed.set()

        async with peer(talk) as server, client() as through:
            asked = Asked(through, f"http{'s' * tls}://127.0.0.1:{server.port}/")
            await came.wait()
            asked.cancel()
            await closed.wait()
            asked.cancel()
        assert asked.results == []

    run(new_loop, scenario)


def test_cancelling_at_once_or_too_late_does_nothing(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK)) as server, client() as through:
            early = Asked(through, server.url)
            early.cancel()
            refused = Asked(through, server.url, headers=[("X", "\n")])
            refused.cancel()
            late = Asked(through, server.url)
            assert isinstance(await late.result(), Answer)
            late.cancel()
            assert isinstance(await ask(through, server.url), Answer)
            assert server.connections == 1
        assert (early.results, refused.results, len(late.results)) == ([], [], 1)

    run(new_loop, scenario)


def test_closing_ends_what_is_under_way_and_a_later_request_opens_anew(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        came = asyncio.Event()

        async def talk(line: Line) -> None:
            request = await line.request()
            came.set()
            await (line.send(OK) if b"again" in request else line.closed())

        async with peer(talk) as server, client() as through:
            sent = Asked(through, server.url)
            await came.wait()
            connecting = Asked(through, server.url)
            await through.close()
            assert (failed(await sent.result()).kind, failed(await sent.result()).sent) == (Kind.LOST, True)
            unsent = failed(await connecting.result())
            assert (unsent.kind, unsent.sent) == (Kind.CONNECT, False)
            assert isinstance(await ask(through, server.url, body=b"again"), Answer)
            await through.close()
            await through.close()

    run(new_loop, scenario)


def test_a_request_may_be_begun_from_within_the_end_of_another(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK)) as server, client() as through:
            chain, over = [], asyncio.Event()

            class Again(Asked):
                def _end(self, result: object) -> None:
                    super()._end(result)  # type: ignore[arg-type]
                    chain.append(result)
                    if len(chain) < 50:
                        Again(through, server.url)
                    else:
                        over.set()

            Again(through, server.url)
            await over.wait()
            assert all(isinstance(result, Answer) for result in chain)
            assert server.connections == 1

    run(new_loop, scenario)


def test_thousands_of_requests_are_under_way_at_once(new_loop: NewLoop) -> None:
    number = 1_500
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def scenario() -> None:
        everybody = asyncio.Barrier(number)

        async def talk(line: Line) -> None:
            request = await line.request()
            await everybody.wait()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + request[-4:])
            await line.closed()

        async with peer(talk) as server, client(limits=Limits()) as through:
            bodies = [b"%04d" % i for i in range(number)]
            asked = [Asked(through, server.url, body=body, timeouts=LONG) for body in bodies]
            answers = [await one.result() for one in asked]
            assert [answer.body for answer in answers if isinstance(answer, Answer)] == bodies

    run(new_loop, scenario)
