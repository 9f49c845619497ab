"""Time that runs out, and requests that are cancelled or closed upon: above all, whether anything was sent."""

import asyncio
import resource

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


async def stalls(line: Line) -> None:
    await line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    await line.closed()


async def trickles(line: Line) -> None:
    await line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{")
    while not line.writer.is_closing():
        await line.send(b" ")
        await asyncio.sleep(0)


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
