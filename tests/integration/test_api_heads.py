"""A head that is too large or does not end is refused, and everybody else is served meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse

import httpx
import pytest

from api.http import heads
from tests.fakes.commands import System, system
from tests.fakes.plain_http import NO_TLS


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system(tmp_path_factory.mktemp("up")) as running:
        yield running


def connection(up: System) -> socket.socket:
    host, port = up.url.removeprefix("http://").rsplit(":", 1)
    connected = socket.create_connection((host, int(port)), timeout=60)
    return connected


def status(connected: socket.socket) -> int:
    answer = HTTPResponse(connected)
    answer.begin()
    answer.read()
    return answer.status


def test_a_header_without_end_is_refused_before_it_is_held(up: System) -> None:
    with closing(connection(up)) as connected:
        connected.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Large: ")
        sent = 0
        try:
            while sent < 64_000_000:
                sent += connected.send(b"a" * 65536)
        except OSError:
            pass
        assert sent < 16_000_000  # what was on its way, in the buffers of the system
    assert httpx.get(f"{up.url}/health/live").status_code == 200


def test_a_head_that_is_a_little_too_large_is_told_so(up: System) -> None:
    with closing(connection(up)) as connected:
        connected.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * heads.HEAD_BYTES)
        assert status(connected) == 431


def test_a_large_head_within_the_bound_is_served(up: System) -> None:
    cookie = {"X-Large": "a" * (heads.HEAD_BYTES // 2)}
    with httpx.Client(verify=NO_TLS) as client:
        assert [client.get(f"{up.url}/health/live", headers=cookie).status_code for _ in range(3)] == [200] * 3


def test_a_body_counts_for_nothing(up: System) -> None:
    answer = httpx.post(f"{up.url}/api/v1/jobs", content=b"x" * (4 * heads.HEAD_BYTES))
    assert answer.status_code == 401


def test_heads_that_never_end_hold_nobody_up(up: System) -> None:
    with closing(connection(up)) as silent, closing(connection(up)) as half, closing(connection(up)) as second:
        half.sendall(b"GET /health/live HTTP/1.1\r\n")
        second.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(second) == 200
        second.sendall(b"GET /health/live HTTP/1.1\r\n")
        assert httpx.get(f"{up.url}/health/live").status_code == 200
        assert [status(one) for one in (silent, half, second)] == [408, 408, 408]
