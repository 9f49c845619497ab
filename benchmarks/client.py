"""The client side: HTTP/1.1 over kept connections with next to no CPU of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import BenchmarkError

ACCEPTED = 202


class Connection:
    """One kept connection to `url`, one request at a time."""

    def __init__(self, url: str, key: str | None = None) -> None:
        where = urlsplit(url)
        self._address = (where.hostname or "127.0.0.1", where.port or 80)
        authorization = "" if key is None else f"Authorization: Bearer {key}\r\n"
        self._head = f"Host: {where.netloc}\r\n{authorization}Content-Type: application/json\r\n"

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(*self._address, limit=1 << 26)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def encode(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A request's bytes, so that they can be made before the clock runs."""
        return f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        start = head.find(b"content-length:")
        if start < 0:
            raise BenchmarkError("the answer has no Content-Length")
        length = int(head[start + 15 : head.index(b"\r\n", start)])
        return int(head[9:12]), await self._reader.readexactly(length)

    async def events(self, path: str) -> AsyncIterator[bytes]:
        """Server-sent events, one at a time; the answer is chunked, and is read to its end."""
        self._writer.write(self.encode("GET", path))
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or b"chunked" not in head.lower():
            raise BenchmarkError(f"no event stream: {head[:200].decode(errors='replace')}")
        rest = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            *events, rest = (rest + (await self._reader.readexactly(size + 2))[:-2]).split(b"\n\n")
            for event in events:
                yield event
        await self._reader.readuntil(b"\r\n")

    async def accepted(self, request: bytes) -> Any:
        """The decoded answer to a submission, which must be 202."""
        status, body = await self.send(request)
        if status != ACCEPTED:
            raise BenchmarkError(f"a submission was answered {status}: {body[:500].decode(errors='replace')}")
        return json.loads(body)


async def submit_arrays(url: str, key: str, bodies: Sequence[bytes], connections: int = 4) -> None:
    """POST the bodies to the jobs endpoint, `connections` at a time; returns when all are accepted."""
    waiting = list(reversed(bodies))

    async def sender() -> None:
        async with Connection(url, key) as connection:
            while waiting:
                await connection.accepted(connection.encode("POST", "/api/v1/jobs", waiting.pop()))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(connections, len(bodies))):
            group.create_task(sender())
