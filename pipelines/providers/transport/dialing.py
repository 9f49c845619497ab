"""Opening a connection: the name, TCP to the first address that answers, the proxy's tunnel, TLS."""

import asyncio
import re
import socket
import ssl
from functools import cached_property
from typing import cast

import aiohappyeyeballs

from pipelines.providers.transport.addresses import Origin, header_lines
from pipelines.providers.transport.connection import Connection
from pipelines.providers.transport.pool import Route
from pipelines.providers.transport.proxies import Proxy
from pipelines.providers.transport.resolver import Resolver
from pipelines.providers.transport.tls import client_context

HEAD_START = 0.25
"""Seconds after which the next address is tried beside the one before (RFC 8305, section 5)."""

_LONGEST_HEAD = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A call may wait for minutes without a byte: probes keep it known to the routers between, and notice a dead peer."""


class NotConnected(Exception):
    """There is no connection, and nothing of the request was sent."""


class Dialer:
    """Opens connections; lives on one event loop."""

    def __init__(self, tls: ssl.SSLContext | None, resolver: Resolver | None = None) -> None:
        """Without `tls`, the usual authorities are believed. Connections go where `resolver` says, and nowhere else."""
        self._given = tls
        self._resolver = resolver or Resolver()

    async def dial(self, route: Route, connection: Connection, seconds: float) -> None:
        """Open `connection`; raises `NotConnected`."""
        host = route.origin.host
        try:
            async with asyncio.timeout(seconds):
                await self._open(route, connection)
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message or error.reason
            raise NotConnected(f"the certificate of {host} does not hold: {why}") from error
        except TimeoutError as error:
            raise NotConnected(f"no connection to {host} within {seconds:g} s") from error
        except socket.gaierror as error:
            raise NotConnected(f"no address for {(route.proxy or route).origin.host}: {error.strerror}") from error
        except OSError as error:
            named = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise NotConnected(f"no connection to {host}: {named}") from error

    def close(self) -> None:
        """Forget addresses."""
        self._resolver.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given or client_context()

    async def _open(self, route: Route, connection: Connection) -> None:
        origin, proxy = route.origin, route.proxy
        if proxy is None or origin.scheme == "http":
            await self._connect(proxy.origin if proxy else origin, connection)
            return
        tunnel = _Tunnel()
        await self._connect(proxy.origin, tunnel)
        try:
            await tunnel.through(origin, proxy)
            loop = asyncio.get_running_loop()
            secured = await loop.start_tls(tunnel.transport, connection, self._tls, server_hostname=origin.host)
            assert secured is not None
            connection.connection_made(secured)
        except BaseException:
            tunnel.transport.abort()
            raise

    async def _connect(self, to: Origin, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        addresses = await self._resolver.addresses(to.host, to.port)
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=HEAD_START, interleave=1, loop=loop
        )
        _probe(sock)
        if to.scheme == "http":
            await loop.create_connection(lambda: protocol, sock=sock)
        else:
            await loop.create_connection(lambda: protocol, sock=sock, ssl=self._tls, server_hostname=to.host)


class _Tunnel(asyncio.Protocol):
    """A connection to a proxy until the proxy has opened the way to the server behind it."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def through(self, origin: Origin, proxy: Proxy) -> None:
        """Have the proxy connect to `origin`; raises `NotConnected`."""
        fields = [("Host", origin.authority)]
        if proxy.authorization is not None:
            fields.append(("Proxy-Authorization", proxy.authorization))
        self.transport.write(b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (origin.authority.encode(), header_lines(fields)))
        await self._answered
        head, ended, rest = self._received.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        if not ended or status is None:
            raise NotConnected(f"the proxy {proxy.origin.host} gave no proper answer")
        if not 200 <= int(status[1]) < 300:
            raise NotConnected(f"the proxy {proxy.origin.host} refused with status {int(status[1])}")
        if rest:
            raise NotConnected(f"the proxy {proxy.origin.host} sent more than its answer")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The proxy is there."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of its answer."""
        self._received += data
        if b"\r\n\r\n" in self._received or len(self._received) > _LONGEST_HEAD:
            self._end()

    def connection_lost(self, _: Exception | None) -> None:
        """It is gone."""
        self._end()

    def _end(self) -> None:
        if not self._answered.done():
            self._answered.set_result(None)


def _probe(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
