"""The network between a process and its servers, in a test's hands: URLs that lead through a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.fakes.tcp_proxy import TcpProxy

_PORTS = {"postgresql": 5432, "amqp": 5672}


@contextmanager
def proxied(url: str) -> Iterator[tuple[TcpProxy, str]]:
    """A proxy in front of the server of `url`, and the same URL by way of it."""
    where = urlsplit(url)
    assert where.hostname is not None
    user, at, _ = where.netloc.rpartition("@")
    with TcpProxy(where.hostname, where.port or _PORTS[where.scheme]) as proxy:
        yield proxy, where._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}").geturl()
