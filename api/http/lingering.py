"""Closing a connection so that the client can read its answer.

Where a server closes while bytes of the request are unread, TCP sends a reset, which overtakes the answer: who sent too
much would see a broken connection and not learn why. So what still comes is read and dropped for a moment.
"""

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_SECONDS = 5.0
"""For so long a client that was answered may go on sending what nobody wants."""


class LingeringTransport:
    """A transport whose `close` lingers where the request was not read to its end."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread: Callable[[], int]
    ) -> None:
        """`unread`: bytes that may still come and are then dropped; 0 where nothing is to come."""
        self._transport = transport
        self._loop = loop
        self._unread = unread
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None
        self.lingers = False
        # The one that is called for every answer goes straight to the transport.
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more is to be written."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close once the client has read, or has had the time to."""
        if self.is_closing():
            return
        self._left = self._unread()
        if not self._left or not self._transport.can_write_eof():
            self._transport.close()
            return
        self.lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def drop(self, size: int) -> None:
        """So many bytes have come that nobody wants."""
        self._left -= size
        if self._left < 0:
            self._transport.close()

    def lost(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
