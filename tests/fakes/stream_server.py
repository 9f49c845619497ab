"""A real HTTP server whose answers a test writes piece by piece: it decides what comes together, and when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req_1\r\n\r\n"
)


class Streamed:
    """One call under way, in a test's hands. `gone` is set when its connection is closed, by whomever."""

    def __init__(self, path: str, body: bytes, transport: asyncio.Transport, gone: asyncio.Event) -> None:
        self.path, self.body, self.gone = path, body, gone
        self._transport = transport

    async def head(self) -> None:
        self.write(HEAD)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.write(b"0\r\n\r\n")

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def cut(self) -> None:
        """Close the connection when what was written is out."""
        self._transport.close()


Script = Callable[[Streamed], Awaitable[None]]


def whole(*pieces: bytes) -> Script:
    """An answer that comes in these pieces and ends as it should."""

    async def script(call: Streamed) -> None:
        await call.head()
        await call.send(*pieces)
        await call.end()

    return script


class _Connection(asyncio.Protocol):
    """A client sends its next request when it has its answer."""

    def __init__(self, script: Script, calls: list[Streamed], tasks: set[asyncio.Task[None]]) -> None:
        self._script, self._calls, self._tasks = script, calls, tasks
        self._received = b""
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not found or len(body) < int(lengths[0]):
            return
        self._received = b""
        call = Streamed(head.split(b" ")[1].decode(), body, self._transport, self._gone)
        self._calls.append(call)
        task = asyncio.get_running_loop().create_task(_done(self._script(call)))
        self._tasks.add(task)

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()


@asynccontextmanager
async def stream_server(script: Script) -> AsyncIterator[tuple[str, Sequence[Streamed]]]:
    """The server on this loop, which treats every call with `script`: its URL, and the calls as they came.

    At the end all clients must have closed their connections; then every script has to end by itself.
    """
    calls: list[Streamed] = []
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(script, calls, tasks), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", calls
    finally:
        server.close()
        await asyncio.gather(*tasks)
        for call in calls:
            call.cut()
            await call.gone.wait()


async def _done(todo: Awaitable[None]) -> None:
    await todo
