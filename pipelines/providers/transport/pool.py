"""Connections that wait for their next request, by where they lead."""

import asyncio
from collections import deque

from pipelines.providers.transport.addresses import Origin
from pipelines.providers.transport.connection import Connection
from pipelines.providers.transport.line import Line
from pipelines.providers.transport.protocol import Limits
from pipelines.providers.transport.proxies import Proxy

_TICK = 0.001
"""Seconds by which a timer may be early."""

_COARSE = 0.25
"""Seconds between two looks at what has been idle for too long; what is too old is not used even before."""


class Route:
    """The way to one server, by one proxy or none, and the idle connections in the order in which they came back.

    Those that have not settled yet stand apart, so that a request looks at none of them.
    """

    __slots__ = ("_idle", "_pool", "_settling", "dials", "line", "origin", "proxy")

    def __init__(self, origin: Origin, proxy: Proxy | None, pool: "Pool") -> None:
        self.origin = origin
        self.proxy = proxy
        self._pool = pool
        self._idle: deque[Connection] = deque()
        self._settling: deque[Connection] = deque()
        self.line = Line(origin.host)
        self.dials = 0

    def take(self, now: float) -> Connection | None:
        """Of the idle connections that have settled the one used last, if it can carry a request.

        `now` is by the loop's clock.
        """
        while self._settling and now - self._settling[0].idle_since >= self._pool.settles:
            self._idle.append(self._settling.popleft())
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < self._pool.keep_alive and connection.is_quiet():
                return connection
            connection.drop()
        return None

    def new(self) -> Connection:
        """A connection that is about to be opened."""
        return Connection(self, self._pool.limits)

    def opened(self, connection: Connection) -> None:
        """See `Keeper`."""
        self._pool.connections.add(connection)

    def released(self, connection: Connection) -> None:
        """See `Keeper`. Whoever is first in the line gets it, when it has settled."""
        connection.rest()
        self._settling.append(connection)
        self._pool.watch()
        if self.line.is_waiting:
            asyncio.get_running_loop().call_later(self._pool.settles + _TICK, self._serve)

    def _serve(self) -> None:
        connection = self.take(asyncio.get_running_loop().time()) if self.line.is_waiting else None
        if connection is None:
            return
        waiting = self.line.first()
        if waiting is None:  # all of them had given up
            self._idle.append(connection)
        else:
            connection.carry(waiting.exchange, waiting.head)

    def lost(self, connection: Connection) -> None:
        """See `Keeper`. One that was idle is found in its place later."""
        self._pool.lost(connection)

    def drop_older(self, than: float) -> None:
        """Close what has been idle since before then."""
        for connections in (self._idle, self._settling):
            while connections and connections[0].idle_since <= than:
                connections.popleft().drop()

    @property
    def is_idle(self) -> bool:
        """Whether a connection waits here."""
        return bool(self._idle or self._settling)


class Pool:
    """All connections. An idle one is kept for `keep_alive` seconds; how many there are is not limited.

    It carries nothing before it has been idle for `settles` seconds: bytes that still come belong to the answer before,
    and close it.
    """

    def __init__(self, keep_alive: float, limits: Limits, settles: float) -> None:
        self.keep_alive, self.settles = keep_alive, settles
        self.limits = limits
        self.connections: set[Connection] = set()
        self._routes: dict[tuple[Origin, Proxy | None], Route] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    def route(self, origin: Origin, proxy: Proxy | None) -> Route:
        """The way to a server by a proxy."""
        return self._routes.setdefault((origin, proxy), Route(origin, proxy, self))

    def watch(self) -> None:
        """There is an idle connection."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_COARSE, self._sweep)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if self._emptied is not None and not self.connections and not self._emptied.done():
            self._emptied.set_result(None)

    def give_up_waiting(self) -> None:
        """Whoever waits for a connection gets none."""
        for route in self._routes.values():
            route.line.fail("the client was closed")

    async def close(self) -> None:
        """Close all connections, and wait until they are closed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self.connections:
            self._emptied = asyncio.get_running_loop().create_future()
            for connection in self.connections:
                connection.abandon()
            await self._emptied

    def _sweep(self) -> None:
        self._sweeper = None
        since = asyncio.get_running_loop().time() - self.keep_alive
        for route in self._routes.values():
            route.drop_older(since)
            if route.is_idle:
                self.watch()
