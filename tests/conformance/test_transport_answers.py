"""What the HTTP transport makes of what servers send, and what it sends itself."""

import asyncio
import gzip
import zlib

import pytest

from pipelines.providers.transport.protocol import Answer, Kind, Limits, TransportFailure
from tests.fakes.http_peer import LOOPS, OK, Asked, Line, NewLoop, ask, client, peer, repeating, run

pytestmark = LOOPS
HEAD = b"HTTP/1.1 200 OK\r\n"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def sized(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


WHOLE = {
    "length": (sized(b"{}"), 200, b"{}"),
    "no body": (sized(b""), 200, b""),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}"),
    "chunk extensions and trailers": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b;c\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
        200,
        b"{}",
    ),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n" + sized(b"{}"),
        200,
        b"{}",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b""),
    "error": (sized(b"slow down", status=b"429 Too Many"), 429, b"slow down"),
    "no reason": (sized(b"{}", status=b"200"), 200, b"{}"),
    "gzip": (sized(gzip.compress(b"{}"), b"Content-Encoding: gzip"), 200, b"{}"),
    "x-gzip": (sized(gzip.compress(b"{}"), b"content-encoding: X-GZIP"), 200, b"{}"),
    "deflate": (sized(zlib.compress(b"{}"), b"Content-Encoding: deflate"), 200, b"{}"),
    "raw deflate": (sized(raw_deflate(b"{}"), b"Content-Encoding: deflate"), 200, b"{}"),
    "identity": (sized(b"{}", b"Content-Encoding: identity"), 200, b"{}"),
    "encoded nothing": (sized(b"", b"Content-Encoding: gzip"), 200, b""),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read_and_its_connection_used_again(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        sent, status, body = WHOLE[name]
        async with peer(repeating(sent)) as server, client() as through:
            for _ in range(2):
                answer = await ask(through, server.url)
                assert isinstance(answer, Answer)
                assert (answer.status, answer.body) == (status, body)
            assert server.connections == 1

    run(new_loop, scenario)


LAST = {
    "close": sized(b"{}", b"Connection: close"),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "both framings": HEAD + b"Content-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "garbage behind it": sized(b"{}") + b"and more",
    "a second answer": sized(b"{}") + OK,
    "half a second answer": sized(b"{}") + b"HTTP/1.1 2",
    "a body on a 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", LAST)
def test_an_answer_that_is_the_last_one_of_its_connection_counts_and_closes_it(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer(LAST[name])
            await line.closed()
            closed.set()

        async with peer(talk) as server, client() as through:
            answer = await ask(through, server.url)
            assert isinstance(answer, Answer)
            assert answer.body == (b"" if answer.status == 204 else b"{}")
            await closed.wait()
            assert isinstance(await ask(through, server.url), Answer)
            assert server.connections == 2

    run(new_loop, scenario)


@pytest.mark.parametrize("head", [HEAD, b"HTTP/1.0 200 OK\r\n", HEAD + b"Connection: close\r\n"])
def test_an_answer_without_a_length_ends_with_its_connection(new_loop: NewLoop, head: bytes) -> None:
    async def scenario() -> None:
        async def talk(line: Line) -> None:
            await line.answer(head + b"\r\n{")
            await line.send(b"}")
            line.writer.write_eof()
            await line.closed()

        async with peer(talk) as server, client() as through:
            answer = await ask(through, server.url)
            assert isinstance(answer, Answer)
            assert answer.body == b"{}"

    run(new_loop, scenario)


GARBAGE = {
    "no HTTP": b"hello there\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is none": HEAD + b"Content-Length: two\r\n\r\n{}",
    "a length below zero": HEAD + b"Content-Length: -2\r\n\r\n{}",
    "a length beyond all": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "a chunk's size that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "an unknown transfer coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a name with a blank": HEAD + b"Content Length: 2\r\n\r\n{}",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no status": b"HTTP/1.1 000 ?\r\nContent-Length: 0\r\n\r\n",
    "no gzip": sized(b"{}", b"Content-Encoding: gzip"),
    "next to nothing of a gzip": sized(gzip.compress(b"x" * 999)[:10], b"Content-Encoding: gzip"),
    "no deflate": sized(b"\xff\xff\xff\xff", b"Content-Encoding: deflate"),
    "an unknown encoding": sized(b"{}", b"Content-Encoding: br"),
    "two encodings": sized(b"{}", b"Content-Encoding: gzip, gzip"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_answer_is_a_failure_after_sending(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        async with peer(repeating(GARBAGE[name])) as server, client() as through:
            failure = await ask(through, server.url)
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.PROTOCOL, True)

    run(new_loop, scenario)


TOO_LONG = {
    "by its length": sized(b"x" * 2_000),
    "in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n",
    "a bomb": sized(gzip.compress(b"\0" * 10_000_000), b"Content-Encoding: gzip"),
    "a long field": HEAD + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n",
    "many fields": HEAD + b"X-Many: xxxxxxxx\r\n" * 5_000 + b"\r\n",
    "a long trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Many: xxxxxxxx\r\n" * 5_000,
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "an error": sized(b"x" * 2_000, status=b"500 No"),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_what_is_too_long_is_not_read_to_its_end(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer(TOO_LONG[name])
            if name == "in chunks":
                while not line.writer.is_closing():
                    await line.send(b"200\r\n" + b"x" * 512 + b"\r\n")
                    await asyncio.sleep(0)
            await line.closed()

        async def counted(line: Line) -> None:
            try:
                await talk(line)
            finally:
                closed.set()

        limits = Limits(answer=100_000 if name == "a bomb" else 1_500, error=1_500)
        async with peer(counted) as server, client(limits=limits) as through:
            failure = await ask(through, server.url)
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.TOO_LARGE, True)
            assert failure.status == {"an error": 500}.get(name, failure.status)
            await closed.wait()

    run(new_loop, scenario)


def test_fields_are_found_by_their_lower_case_names_and_joined(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        sent = sized(b"{}", b"X-Request-ID: r1", b"Via: a", b"VIA:  b ", b"X-Empty:")
        async with peer(repeating(sent)) as server, client() as through:
            answer = await ask(through, server.url)
            assert isinstance(answer, Answer)
            assert answer.headers == {
                b"x-request-id": b"r1", b"via": b"a, b", b"x-empty": b"", b"content-length": b"2"
            }  # fmt: skip

    run(new_loop, scenario)


def test_a_request_goes_out_as_one_says_it(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        seen: list[bytes] = []

        async def talk(line: Line) -> None:
            seen.append(await line.answer())

        async with peer(talk) as server, client() as through:
            url = f"http://127.0.0.1:{server.port}/a b/ü?x=y z"
            await ask(through, url, body=b'{"a":1}', headers=[("X-Trace", "t")])
            assert seen == [
                b"POST /a%20b/%C3%BC?x=y%20z HTTP/1.1\r\nHost: 127.0.0.1:" + str(server.port).encode()
                + b'\r\nAccept: application/json\r\nX-Trace: t\r\nContent-Length: 7\r\n\r\n{"a":1}'
            ]  # fmt: skip

    run(new_loop, scenario)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "ü"])
def test_a_value_that_would_break_out_of_its_line_is_refused_before_anything_is_sent(
    new_loop: NewLoop, value: str
) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK)) as server, client() as through:
            failure = await ask(through, server.url, headers=[("X-Trace", value)])
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.REFUSED, False)
            with pytest.raises(ValueError, match="header"):
                through.endpoint("POST", server.url, [("A\r\nB", "x")])
            assert server.connections == 0

    run(new_loop, scenario)


def test_bodies_of_megabytes_go_both_ways(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        long = b"x" * 8_000_000

        async def talk(line: Line) -> None:
            request = await line.request()
            await line.send(sized(request[-len(long) :]))
            await line.closed()

        async with peer(talk) as server, client() as through:
            asked = [Asked(through, server.url, body=long) for _ in range(3)]
            for one in asked:
                answer = await one.result()
                assert isinstance(answer, Answer)
                assert answer.body == long

    run(new_loop, scenario)
