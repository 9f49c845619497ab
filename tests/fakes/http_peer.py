"""A server of bare bytes for tests of the HTTP transport, and a client's request with its end to wait for.

What happens on a connection is a coroutine of the test's own (`Talk`). All of it runs on the test's loop.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import HeaderFields, Request, Result, Timeouts
from pipelines.providers.transport.proxies import Proxies

LONG = Timeouts(10.0, 10.0, 10.0, 10.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Line:
    """One connection, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """The next request's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """The next request, whole."""
        head = await self.head()
        length = re.search(rb"content-length: (\d+)", head.lower())
        return head + await self.reader.readexactly(int(length[1]) if length else 0)

    async def send(self, data: bytes) -> None:
        """Send, and wait while the other side takes nothing."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> bytes:
        """Take a request and answer it."""
        request = await self.request()
        await self.send(data)
        return request

    async def closed(self) -> None:
        """Return when the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass


Talk = Callable[[Line], Awaitable[object]]


class Peer:
    """The server: where it is, and how many connections it has had."""

    def __init__(self, talk: Talk) -> None:
        self.connections = 0
        self.port = 0
        self.scheme = "http"
        self._talk = talk
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/x"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(Line(reader, writer))
        finally:
            self._talks.discard(task)
            writer.transport.abort()

    async def hang_up(self) -> None:
        for task in list(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)


@asynccontextmanager
async def peer(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A server that has this talk on every connection."""
    running = Peer(talk)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
    running.port = server.sockets[0].getsockname()[1]
    running.scheme = "https" if tls else "http"
    try:
        yield running
    finally:
        server.close()
        await running.hang_up()
        await asyncio.sleep(0)


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[Client]:
    """A client that is closed, knows no proxy unless it is given one, and uses connections again at once."""
    made = Client(**{"proxies": Proxies(), "settles": 0.0, **options})
    try:
        yield made
    finally:
        await made.close()


class Asked:
    """A request under way. `results` must never hold more than one."""

    def __init__(
        self, through: Client, url: str, body: bytes = b"{}", headers: HeaderFields = (), timeouts: Timeouts = LONG
    ) -> None:
        self.results: list[Result] = []
        self._ended = asyncio.Event()
        endpoint = through.endpoint("POST", url, [("Accept", "application/json")])
        self.cancel = through.begin(Request(endpoint, headers, body, timeouts), self._end)
        assert self.results == []

    def _end(self, result: Result) -> None:
        self.results.append(result)
        self._ended.set()

    async def result(self) -> Result:
        """The one result."""
        async with asyncio.timeout(20):
            await self._ended.wait()
        [result] = self.results
        return result


async def ask(through: Client, url: str, **options: Any) -> Result:
    """Make a request and wait for its end."""
    return await Asked(through, url, **options).result()


def repeating(answer: bytes) -> Talk:
    """Answers every request so."""

    async def talk(line: Line) -> None:
        while True:
            await line.answer(answer)

    return talk


async def silent(line: Line) -> None:
    """Takes whatever comes and says nothing."""
    await line.closed()


def run(new_loop: NewLoop, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it on a loop of this kind."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())
