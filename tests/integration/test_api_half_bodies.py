"""Bodies that are never whole hold little, keep nobody out, and are ended."""

import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPResponse

import pytest

from api.http import bodies_in_flight, lingering
from synthralos.open_files import allow_many_open_files
from synthralos.store.sql.database import Database
from tests.integration.api_place import JOBS, Place, api_over, core_over, submitted

HALF = 500_000
MANY = 100
BOUND = 8_000_000


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database, max_body_bytes=2 * HALF, bodies_bytes=BOUND)) as served:
        yield served


def half_sent(place: Place) -> socket.socket:
    host, port = place.server.url.removeprefix("http://").rsplit(":", 1)
    connected = socket.create_connection((host, int(port)), timeout=60)
    head = (
        f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {place.key()}\r\nContent-Length: {2 * HALF}\r\n\r\n"
    )
    with suppress(OSError):  # refused while it is sending
        connected.sendall(head.encode() + b" " * HALF)
    return connected


def status(connected: socket.socket) -> int:
    answer = HTTPResponse(connected)
    answer.begin()
    return answer.status


def test_many_half_bodies_hold_no_more_than_the_bound_and_keep_nobody_out(place: Place) -> None:
    with ExitStack() as stack:
        halves = [stack.enter_context(closing(half_sent(place))) for _ in range(MANY)]
        # All of them together are several times the bound: some are ended, by an answer or by a reset after it.
        assert select.select(halves, [], [], 60)[0]
        assert submitted(place.client())
        assert place.server.room.bodies.held <= BOUND


def test_a_body_that_does_not_end_is_told_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_in_flight, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(bodies_in_flight, "LEAST_RATE", 100 * HALF)
    with closing(half_sent(place)) as connected:
        assert status(connected) == 408
    assert submitted(place.client())


def test_the_file_limit_is_raised_to_the_most_that_the_system_allows() -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    try:
        allow_many_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def test_who_sends_too_much_reads_why(place: Place) -> None:
    """The body is sent to its end before the answer is read, as most clients do it."""
    for size in (2 * HALF + 1, 20 * HALF):
        answer = place.client().post(JOBS, content=b" " * size, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (413, "body-too-large")


def test_a_client_that_goes_on_sending_is_dropped_in_the_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 0.1)
    host, port = place.server.url.removeprefix("http://").rsplit(":", 1)
    head = f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {place.key()}\r\nContent-Length: {10**12}\r\n\r\n"
    with closing(socket.create_connection((host, int(port)), timeout=60)) as connected:
        connected.sendall(head.encode())
        assert status(connected) == 413
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            send_for_ever(connected)


def send_for_ever(connected: socket.socket) -> None:
    while True:
        connected.sendall(b" " * 65536)
