"""The line of requests that wait for a connection to one server.

When many calls begin at once, most of them are better served by a connection that another call gives back in a moment
than by one of their own, and servers take a flood of new connections for an attack.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.providers.transport.exchange import Exchange
from pipelines.providers.transport.protocol import Kind, TransportFailure

MOST_DIALS = 128
"""Connections to one server that are being opened at the same time. With 0.15 s for TCP and TLS: about 850 a second."""

_COARSE = 0.25
"""Seconds between two looks at who has waited for too long."""


@dataclass(slots=True)
class Waiting:
    """A request in the line; `until` is by the loop's clock."""

    exchange: Exchange
    head: bytes
    until: float


class Line:
    """First come, first served. `host` is for messages."""

    __slots__ = ("_host", "_timer", "_waiting")

    def __init__(self, host: str) -> None:
        self._host = host
        self._waiting: deque[Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, exchange: Exchange, head: bytes) -> None:
        """Wait as long as connecting may take."""
        loop, timeouts = asyncio.get_running_loop(), exchange.request.timeouts
        self._waiting.append(Waiting(exchange, head, loop.time() + min(timeouts.connect, timeouts.total)))
        if self._timer is None:
            self._timer = loop.call_later(_COARSE, self._look)

    @property
    def is_waiting(self) -> bool:
        """Whether anybody stands in it."""
        return bool(self._waiting)

    def first(self) -> Waiting | None:
        """The first that somebody still wants; it leaves the line."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.exchange.is_wanted:
                return waiting
        return None

    def fail(self, message: str, late: Callable[[Waiting], bool] = lambda _: True) -> None:
        """Everybody, or everybody who is `late`, leaves without a connection: nothing was sent."""
        failed = [waiting for waiting in self._waiting if late(waiting)]
        self._waiting = deque(waiting for waiting in self._waiting if not late(waiting))
        for waiting in failed:  # who is told may join the line again at once
            waiting.exchange.end(TransportFailure(Kind.CONNECT, message, sent=False))

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, now = None, loop.time()
        message = f"no connection to {self._host} in time: {MOST_DIALS} others are being opened"
        self.fail(message, lambda waiting: waiting.until <= now)
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(_COARSE, self._look)
