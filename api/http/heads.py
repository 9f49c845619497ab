"""Bounds on the head of a request, which the web server itself does not have: bytes, and seconds until it is whole."""

import asyncio
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.lingering import LingeringTransport

HEAD_BYTES = 64 * 1024
"""Bytes that a head may have. They are counted as they arrive, so that at most one read more is held."""

HEAD_SECONDS = 15.0
"""Seconds from the connection, or from a further request's first byte, until the head is whole."""


DROPPED_OF_HEAD, DROPPED_OF_BODY = 1024 * 1024, 64 * 1024 * 1024
"""Bytes of a request that was refused that are read and dropped, so that the client reads why."""


class BoundedHeads(HttpToolsProtocol):
    """The server's protocol, which answers 431 to a head that is too large and 408 to one that does not end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has to say what it wants."""
        self._lingering = LingeringTransport(transport, self.loop, self._unread)
        super().connection_made(cast(asyncio.Transport, self._lingering))
        self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, "Request Timeout")

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        self._lingering.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and see how large the head has become."""
        if self._lingering.lingers:
            self._lingering.drop(len(data))
            return
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, "Request Header Fields Too Large")
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, "Request Timeout")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _unread(self) -> int:
        """So many bytes of a request that was not read to its end may still come, and are dropped."""
        if self._in_head:
            return DROPPED_OF_HEAD if self._head_bytes else 0
        return DROPPED_OF_BODY if self.cycle is not None and self.cycle.more_body else 0

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: int, title: str) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        body = orjson.dumps({"type": "about:blank", "title": title, "status": status})
        head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()
