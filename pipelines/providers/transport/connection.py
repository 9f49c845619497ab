"""One connection: carries requests one after another, and watches over their time.

A connection has one timer at most. It is not set anew for each request: when it rings too early, it is set again.
"""

import asyncio
import select
from typing import Protocol, cast

from pipelines.providers.transport.exchange import Exchange
from pipelines.providers.transport.protocol import Answer, Kind, Limits, OnPiece
from pipelines.providers.transport.reader import AnswerReader

_COPIED = 64 * 1024
"""Bytes of a body up to which it is copied behind its head, to go out as one write."""

_TICK = 0.002
"""Seconds that a loop's timer may ring before its time: uvloop counts milliseconds."""


class Keeper(Protocol):
    """Who has an eye on the connections."""

    def opened(self, connection: "Connection") -> None:
        """It exists."""
        ...

    def released(self, connection: "Connection") -> None:
        """It has carried a request, and can carry another one."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It is no more."""
        ...


class Connection(asyncio.Protocol):
    """Dropped as soon as anything comes that belongs to no request. `idle_since` is by the loop's clock."""

    __slots__ = (
        "_deadline",
        "_exchange",
        "_heard",
        "_keeper",
        "_loop",
        "_paused",
        "_poll",
        "_reader",
        "_timer",
        "_timer_at",
        "_transport",
        "idle_since",
    )

    def __init__(self, keeper: Keeper, limits: Limits) -> None:
        self._keeper = keeper
        self._reader = AnswerReader(limits)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = self.idle_since = 0.0
        self._paused = self._heard = False

    @property
    def is_open(self) -> bool:
        """Whether it was opened and is not closed, as far as the loop has read."""
        return self._transport is not None and not self._transport.is_closing()

    def is_quiet(self) -> bool:
        """Whether it is open and the server has sent nothing, not even its end, that the loop has not read yet.

        A request on a connection that the server has closed would be ambiguous.
        """
        return self.is_open and not self._poll.poll(0)

    def carry(self, exchange: Exchange, head: bytes) -> None:
        """Send the request with this head and wait for its answer."""
        transport = self._transport
        assert transport is not None
        assert self._exchange is None
        self._exchange = exchange
        exchange.stop = self.drop
        if exchange.request.on_piece is not None:
            self._reader.restart(streamed=True)
        body = exchange.request.body
        if len(body) <= _COPIED:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._heard = False
        self._written(exchange)

    def rest(self) -> None:
        """It is idle from now on."""
        self.idle_since = self._loop.time()

    def drop(self) -> None:
        """Close the connection at once; nobody is told about a request that it carries."""
        self._exchange = None
        self.abandon()

    def abandon(self) -> None:
        """Close the connection at once; a request that it carries is lost."""
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open, through TLS where there is any."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclasses of it
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._keeper.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer, or bytes that nobody asked for."""
        exchange, reader = self._exchange, self._reader
        if exchange is None:
            self.drop()
            return
        reader.feed(data)
        if exchange.request.on_piece is not None and not self._passed_on(exchange, exchange.request.on_piece):
            return
        if reader.complete or reader.problem is not None:
            self._answered(exchange)
            return
        self._heard = True
        self._watch(min(exchange.ends_at, self._loop.time() + exchange.request.timeouts.idle))

    def _passed_on(self, exchange: Exchange, on_piece: OnPiece) -> bool:
        """Tell what came of an event stream; whether the request is still wanted afterwards."""
        piece = self._reader.pieces()
        if piece is not None:
            on_piece(piece)
        return self._exchange is exchange

    def eof_received(self) -> None:
        """The server sends nothing more, which ends an answer that has no length. The transport closes itself."""
        self._reader.end_of_stream()
        if self._exchange is not None and self._reader.complete:
            self._answered(self._exchange)

    def connection_lost(self, error: Exception | None) -> None:
        """It is closed, by whomever."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exchange, self._exchange = self._exchange, None
        self._keeper.lost(self)
        if exchange is not None:
            when = "in the middle of its answer" if self._heard else "before it answered"
            why = f": {error}" if error is not None else ""
            exchange.end(self._reader.failure(Kind.LOST, f"the connection was closed {when}{why}"))

    def pause_writing(self) -> None:
        """The system takes no more of the body for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """What is left of the body is on its way."""
        self._paused = False
        if self._exchange is not None and not self._heard:
            self._written(self._exchange)

    def _written(self, exchange: Exchange) -> None:
        if self._paused:
            self._watch(exchange.ends_at)
        else:
            self._watch(min(exchange.ends_at, self._loop.time() + exchange.request.timeouts.first_byte))

    def _answered(self, exchange: Exchange) -> None:
        transport, reader = self._transport, self._reader
        assert transport is not None
        result = reader.result()
        # A server that answers before it has read the request may take what is left of it for another one.
        written = not self._paused and not transport.get_write_buffer_size()
        reusable = reader.keep_alive and written and isinstance(result, Answer)
        self._exchange = None
        reader.restart()
        if reusable:
            self._keeper.released(self)
        else:
            transport.abort()
        exchange.end(result)

    def _watch(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        exchange = self._exchange
        if exchange is None:
            return
        now = self._loop.time()
        if now + _TICK < self._deadline:
            self._watch(self._deadline)
            return
        failure = self._reader.failure(Kind.TIMEOUT, self._too_late(exchange, now))
        self.drop()
        exchange.end(failure)

    def _too_late(self, exchange: Exchange, now: float) -> str:
        timeouts = exchange.request.timeouts
        if now + _TICK >= exchange.ends_at:
            return f"no whole answer within {timeouts.total:g} s"
        if self._heard:
            return f"the answer stood still for {timeouts.idle:g} s"
        return f"no answer within {timeouts.first_byte:g} s"
