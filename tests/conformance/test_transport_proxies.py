"""The way through a proxy: which one, what it is told, and that nothing is sent where it refuses."""

import asyncio
import ssl
from contextlib import AbstractAsyncContextManager, suppress

import pytest
import trustme

from pipelines.providers.transport.addresses import Origin
from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import Answer, Kind, Timeouts, TransportFailure
from pipelines.providers.transport.proxies import Proxies
from pipelines.providers.transport.tls import client_context
from tests.fakes.http_peer import LOOPS, OK, Line, NewLoop, Peer, ask, client, peer, repeating, run, silent

CA = trustme.CA()
CERTIFICATE = CA.issue_cert("127.0.0.1", "provider.test")


def trusting() -> ssl.SSLContext:
    context = client_context()
    CA.configure_trust(context)
    return context


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    return context


def through_proxy(proxy: Peer) -> AbstractAsyncContextManager[Client]:
    return client(tls=trusting(), proxies=Proxies({"all": f"127.0.0.1:{proxy.port}"}))


class Tunnels:
    """A proxy that opens the way to a port of this machine, whatever name it is told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def __call__(self, line: Line) -> None:
        self.heads.append(await line.head())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await line.send(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n")
            await asyncio.gather(self.pump(line.reader, writer), self.pump(reader, line.writer))
        finally:
            writer.transport.abort()

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()


@LOOPS
@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http proxy", "https proxy"])
def test_tls_goes_through_a_tunnel_that_is_kept(new_loop: NewLoop, proxy_tls: bool) -> None:
    async def scenario() -> None:
        async with peer(repeating(OK), server_context()) as server:
            tunnels = Tunnels(server.port)
            async with peer(tunnels, server_context() if proxy_tls else None) as proxy:
                table = {"https": f"{proxy.scheme}://us%40er:p%3Ass@127.0.0.1:{proxy.port}"}
                async with client(tls=trusting(), proxies=Proxies(table)) as through:
                    for _ in range(3):
                        answer = await ask(through, "https://provider.test/v1", body=b"x" * 300_000)
                        assert isinstance(answer, Answer)
            assert tunnels.heads == [
                b"CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n"
                b"Proxy-Authorization: Basic dXNAZXI6cDpzcw==\r\n\r\n"
            ]
            assert server.connections == 1

    run(new_loop, scenario)


@LOOPS
def test_plain_http_names_the_whole_address_to_the_proxy(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        seen: list[bytes] = []

        async def talk(line: Line) -> None:
            seen.append(await line.answer())

        async with peer(talk) as proxy:
            table = {"http": f"http://me:secret@127.0.0.1:{proxy.port}"}
            async with client(proxies=Proxies(table)) as through:
                assert isinstance(await ask(through, "http://provider.test:81/v1?a=b"), Answer)
        [request] = seen
        assert request.startswith(b"POST http://provider.test:81/v1?a=b HTTP/1.1\r\nHost: provider.test:81\r\n")
        assert b"\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in request

    run(new_loop, scenario)


REFUSALS = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "407"),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\n\r\nsorry", "502"),
    "no HTTP": (b"SSH-2.0\r\n\r\n", "proper"),
    "nothing": (b"", "proper"),
    "half an answer": (b"HTTP/1.1 200 OK\r\n", "proper"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "proper"),
    "more than an answer": (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "more"),
    "no TLS behind it": (b"HTTP/1.1 200 OK\r\n\r\n", "provider.test"),
}


@LOOPS
@pytest.mark.parametrize("name", REFUSALS)
def test_a_proxy_that_refuses_is_no_connection_and_nothing_is_sent(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        answer, says = REFUSALS[name]
        rest: list[bytes] = []

        async def talk(line: Line) -> None:
            await line.head()
            await line.send(answer)
            if name == "no TLS behind it":
                await line.reader.read(1)
                await line.send(b"hello\r\n")
                return
            line.writer.write_eof()
            rest.append(await line.reader.read())

        async with peer(talk) as proxy:
            async with through_proxy(proxy) as through:
                failure = await ask(through, "https://provider.test/v1")
                assert isinstance(failure, TransportFailure)
                assert (failure.kind, failure.sent) == (Kind.CONNECT, False)
                assert says in failure.message
            assert rest in ([], [b""])

    run(new_loop, scenario)


@LOOPS
def test_a_proxy_that_says_nothing_is_waited_for_no_longer_than_for_a_connection(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with peer(silent) as proxy, through_proxy(proxy) as through:
            failure = await ask(through, "https://provider.test/", timeouts=Timeouts(0.05, 9.0, 9.0, 9.0))
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.CONNECT, False)

    run(new_loop, scenario)


@LOOPS
def test_a_certificate_is_verified_behind_a_proxy_too(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with (
            peer(repeating(OK), server_context()) as server,
            peer(Tunnels(server.port)) as proxy,
            through_proxy(proxy) as through,
        ):
            failure = await ask(through, "https://elsewhere.test/")
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.CONNECT, False)
            assert "certificate of elsewhere.test" in failure.message

    run(new_loop, scenario)


TABLE = {"http": "http://plain:3128", "https": "secure:3129", "no": "localhost,.inside.test,127.0.0.1,10.0.0.1:8000"}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "provider.test", 80), "plain"),
        (Origin("https", "provider.test", 443), "secure"),
        (Origin("https", "localhost", 443), None),
        (Origin("http", "127.0.0.1", 9000), None),
        (Origin("https", "a.inside.test", 443), None),
        (Origin("https", "a.outside.test", 443), "secure"),
        (Origin("http", "10.0.0.1", 8000), None),
        (Origin("http", "10.0.0.1", 8001), "plain"),
    ],
)
def test_the_environment_says_which_proxy_leads_where(origin: Origin, host: str | None) -> None:
    proxy = Proxies(TABLE).on_the_way_to(origin)
    assert (proxy and proxy.origin.host) == host


def test_the_environment_is_read_in_either_case(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert Proxies.from_environment().on_the_way_to(Origin("https", "provider.test", 443)) is None
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("https_proxy", "http://secure:1")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    found = [
        Proxies.from_environment().on_the_way_to(Origin(scheme, host, 1))
        for scheme, host in (("http", "provider.test"), ("https", "provider.test"), ("https", "inside.test"))
    ]
    assert [proxy and proxy.origin.host for proxy in found] == ["all", "secure", None]


def test_a_proxy_that_we_cannot_talk_to_is_said_when_the_way_is_laid() -> None:
    through = Client(proxies=Proxies({"all": "socks5://127.0.0.1:1080"}))
    with pytest.raises(ValueError, match="proxy"):
        through.endpoint("POST", "https://provider.test/", [])
