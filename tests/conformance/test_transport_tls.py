"""Whom the transport believes, and what it tells a server on the way in."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from pipelines.providers.transport.protocol import Answer, Kind, TransportFailure
from pipelines.providers.transport.tls import client_context
from tests.fakes.http_peer import LOOPS, OK, Line, NewLoop, ask, client, peer, repeating, run

CA = trustme.CA()
STRANGER = trustme.CA()


def trusting(authority: trustme.CA = CA) -> ssl.SSLContext:
    context = client_context()
    authority.configure_trust(context)
    return context


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


GOOD = CA.issue_cert("127.0.0.1", "localhost")


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_proves_its_name_is_called_on_one_connection(new_loop: NewLoop, version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        context = server_context(GOOD)
        context.minimum_version = context.maximum_version = version
        async with peer(repeating(OK), context) as server, client(tls=trusting()) as through:
            for _ in range(5):
                assert isinstance(await ask(through, server.url, body=b"x" * 300_000), Answer)
            assert server.connections == 1

    run(new_loop, scenario)


BAD = {
    "another name": (CA.issue_cert("example.com"), "127.0.0.1"),
    "an unknown authority": (STRANGER.issue_cert("127.0.0.1"), "certificate"),
    "expired": (CA.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)), "expired"),
    "not valid yet": (CA.issue_cert("127.0.0.1", not_before=datetime.now(UTC) + timedelta(days=1)), "not yet valid"),
}


@LOOPS
@pytest.mark.parametrize("name", BAD)
def test_a_server_that_proves_nothing_gets_nothing(new_loop: NewLoop, name: str) -> None:
    async def scenario() -> None:
        certificate, says = BAD[name]
        got: list[bytes] = []

        async def talk(line: Line) -> None:
            got.append(await line.request())

        async with peer(talk, server_context(certificate)) as server, client(tls=trusting()) as through:
            failure = await ask(through, server.url)
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.CONNECT, False)
            assert "the certificate of 127.0.0.1 does not hold" in failure.message
            assert says in failure.message
        assert got == []

    run(new_loop, scenario)


@LOOPS
def test_what_speaks_no_tls_gets_nothing(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async def talk(line: Line) -> None:
            await line.reader.read(1)
            await line.send(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n")

        async with peer(talk) as server, client(tls=trusting()) as through:
            failure = await ask(through, f"https://127.0.0.1:{server.port}/")
            assert isinstance(failure, TransportFailure)
            assert (failure.kind, failure.sent) == (Kind.CONNECT, False)

    run(new_loop, scenario)


@LOOPS
def test_the_server_is_told_its_name_and_the_protocol(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        told: list[object] = []
        context = server_context(GOOD)
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.sni_callback = lambda _, name, __: told.append(name)

        async def talk(line: Line) -> None:
            told.append(line.writer.get_extra_info("ssl_object").selected_alpn_protocol())
            await line.answer()

        async with peer(talk, context) as server, client(tls=trusting()) as through:
            assert isinstance(await ask(through, f"https://localhost:{server.port}/"), Answer)
        assert told == ["localhost", "http/1.1"]

    run(new_loop, scenario)


@LOOPS
def test_a_kept_connection_that_the_server_ends_is_not_used(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def talk(line: Line) -> None:
            await line.answer()
            line.writer.close()
            await line.closed()
            closed.set()

        async with peer(talk, server_context(GOOD)) as server, client(tls=trusting()) as through:
            for number in (1, 2):
                assert isinstance(await ask(through, server.url), Answer)
                await closed.wait()
                closed.clear()
                assert server.connections == number

    run(new_loop, scenario)


def test_authorities_of_the_environment_are_the_only_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "authorities.pem"
    CA.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert len(client_context().get_ca_certs()) == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("SSL_CERT_DIR")
    assert len(client_context().get_ca_certs()) > 50
