"""The client: begins requests on idle connections, or opens new ones."""

import asyncio
import logging
import ssl
from functools import partial

from pipelines.providers.transport.addresses import header_lines, split
from pipelines.providers.transport.dialing import Dialer, NotConnected
from pipelines.providers.transport.exchange import Exchange
from pipelines.providers.transport.line import MOST_DIALS
from pipelines.providers.transport.pool import Pool
from pipelines.providers.transport.protocol import (
    Cancel,
    Done,
    Endpoint,
    HeaderFields,
    Kind,
    Limits,
    Request,
    Result,
    TransportFailure,
)
from pipelines.providers.transport.proxies import Proxies
from pipelines.providers.transport.resolver import Resolver

log = logging.getLogger(__name__)

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than the 5 s of uvicorn, the shortest among common servers, because
a call on a connection that the server has just closed is ambiguous."""

SETTLES = 0.005
"""Seconds after an answer before its connection carries the next request. A server that says more than one answer (one
in a thousand of those that repeat themselves) would else answer the next request with what was another one's."""


class Client:
    """Lives on one event loop at a time; opens its first connection with the first request."""

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        proxies: Proxies | None = None,
        tls: ssl.SSLContext | None = None,
        keep_alive: float = KEEP_ALIVE,
        resolver: Resolver | None = None,
        settles: float = SETTLES,
    ) -> None:
        """Without `proxies`, those of the environment; without `tls`, the usual authorities.

        `keep_alive`: seconds that an idle connection is kept. `settles`: see `Pool`. `resolver` may refuse addresses.
        """
        self._proxies = Proxies.from_environment() if proxies is None else proxies
        self._pool = Pool(keep_alive, limits, settles)
        self._dialer = Dialer(tls, resolver)
        self._dials: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def endpoint(self, method: str, url: str, headers: HeaderFields) -> Endpoint:
        """What all requests to a URL have in common; raises `ValueError` for what cannot be called."""
        origin, target = split(url)
        proxy = self._proxies.on_the_way_to(origin)
        fields = [("Host", origin.host_field), *headers]
        if proxy is not None and origin.scheme == "http":
            target = f"http://{origin.host_field}{target}"
            if proxy.authorization is not None:
                fields.append(("Proxy-Authorization", proxy.authorization))
        head = f"{method} {target} HTTP/1.1\r\n".encode("ascii") + header_lines(fields)
        return Endpoint(self._pool.route(origin, proxy), head)

    def begin(self, request: Request, done: Done) -> Cancel:
        """Begin a request; what is returned cancels it, and then `done` is not called.

        `done` is called once, on the loop, and never before this returns. A request that was sent is never repeated;
        cancelling closes its connection.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        now = loop.time()
        exchange = Exchange(request, done, now + request.timeouts.total)
        endpoint = request.endpoint
        try:
            head = b"%b%bContent-Length: %d\r\n\r\n" % (endpoint.head, header_lines(request.headers), len(request.body))
        except ValueError as error:
            loop.call_soon(exchange.end, TransportFailure(Kind.REFUSED, str(error), sent=False))
            return exchange.cancel
        connection = endpoint.route.take(now)
        if connection is not None:
            connection.carry(exchange, head)
        elif endpoint.route.dials < MOST_DIALS:
            self._dial(exchange, head)
        else:
            endpoint.route.line.join(exchange, head)
        return exchange.cancel

    async def send(self, request: Request) -> Result:
        """Begin a request and wait for its end; being cancelled cancels it."""
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result) -> None:
            if not ended.done():  # cancelled in this turn of the loop
                ended.set_result(result)

        cancel = self.begin(request, done)
        try:
            return await ended
        except asyncio.CancelledError:
            cancel()
            raise

    async def close(self) -> None:
        """Close all connections; a request that is under way fails. A later request would open new ones."""
        self._pool.give_up_waiting()
        dials = list(self._dials)
        for dial in dials:
            dial.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        self._dialer.close()
        await self._pool.close()
        self._loop = None

    def _dial(self, exchange: Exchange, head: bytes) -> None:
        assert self._loop is not None
        dial = self._loop.create_task(self._send_on_new_connection(exchange, head))
        exchange.stop = dial.cancel
        exchange.request.endpoint.route.dials += 1
        self._dials.add(dial)
        dial.add_done_callback(partial(self._dialed, exchange))

    def _dialed(self, exchange: Exchange, dial: asyncio.Task[None]) -> None:
        self._dials.discard(dial)
        route = exchange.request.endpoint.route
        route.dials -= 1
        if dial.cancelled():  # by whoever cancelled the request, who is not told, or by `close`
            exchange.end(TransportFailure(Kind.CONNECT, "the client was closed", sent=False))
        waiting = route.line.first()
        if waiting is not None:
            self._dial(waiting.exchange, waiting.head)

    async def _send_on_new_connection(self, exchange: Exchange, head: bytes) -> None:
        request = exchange.request
        connection = request.endpoint.route.new()
        try:
            await self._dialer.dial(
                request.endpoint.route, connection, min(request.timeouts.connect, request.timeouts.total)
            )
        except NotConnected as error:
            failure = TransportFailure(Kind.CONNECT, str(error), sent=False)
        except asyncio.CancelledError:
            connection.drop()
            raise
        except Exception as error:  # a bug, after which the request would have no end
            log.exception("opening a connection failed")
            failure = TransportFailure(Kind.CONNECT, f"a bug in dialing: {type(error).__name__}", sent=False)
        else:
            if connection.is_open:
                connection.carry(exchange, head)
                return
            failure = TransportFailure(Kind.CONNECT, "the server closed the connection at once", sent=False)
        connection.drop()
        exchange.end(failure)
