"""Whole jobs at a server of bare bytes: whatever it does, the job goes on elsewhere and the books say what was paid."""

import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.raw_answers import RawAnswers, Talk, answers, raw_answers, says
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
GIGANTIC = 33 * 1024 * 1024
"""Bytes, one MiB more than a worker reads of an answer."""


def completion(usage: Any = USAGE, finish: Any = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": finish}
    told = {} if usage is None else {"usage": usage}
    return json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], **told}).encode()


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def server() -> Iterator[RawAnswers]:
    with raw_answers() as running:
        running.talks["good"] = answers(completion())
        yield running


def catalog(server: RawAnswers, timeout: float = 60.0) -> Catalog:
    """`bad` first, as it is cheaper, and then `good`."""
    return Catalog([replace(each, timeout=timeout) for each in deployments_at(server.url, "bad", "good")])


def first_attempt(place: WorkerPlace, job_id: str) -> Any:
    """The job's first attempt, once it has ended; the job may be parked by then."""
    place.heard.until(lambda: any(each["outcome"] != Outcome.OPEN for each in place.store.attempts(job_id)))
    return place.store.attempts(job_id)[0]


def trickle(connection: socket.socket) -> None:
    """A byte of a head every moment, for ever."""
    for byte in itertools.cycle(b"X-More: of the same\r\n"):
        connection.sendall(bytes([byte]))
        connection.settimeout(0.01)
        try:
            connection.recv(1)
        except TimeoutError:
            continue
        return


def slow_loris(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    trickle(connection)


def gigantic(connection: socket.socket) -> None:
    """An answer without a length that does not end before the client leaves."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices": "')
    while True:
        connection.sendall(b"x" * 65_536)


def endless_stream(connection: socket.socket) -> None:
    """Words for ever."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"delta": {"content": "on and "}}]}
    event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall(event)
        connection.settimeout(0.01)
        try:
            connection.recv(1)
        except TimeoutError:
            continue
        return


PAGE = b"<!doctype html><html><body>Sign in to the network</body></html>"
STRANGE: dict[str, tuple[Talk, str, Billed]] = {
    "half a body": (answers(completion(), length=5_000), "ambiguous", Billed.MAYBE),
    "half a head": (says(b"HTTP/1.1 200 OK\r\nContent-Ty"), "ambiguous", Billed.MAYBE),
    "no answer": (says(b""), "ambiguous", Billed.MAYBE),
    "no HTTP": (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "ambiguous", Billed.MAYBE),
    "invalid JSON": (answers(b'{"choices": [}'), "ambiguous", Billed.MAYBE),
    "an empty body": (answers(b""), "ambiguous", Billed.MAYBE),
    "a page with status 200": (answers(PAGE, "text/html"), "ambiguous", Billed.MAYBE),
    "bytes that are no text": (answers(b"\xff\xfe\x00{", "application/octet-stream"), "ambiguous", Billed.MAYBE),
    "a gigantic length": (answers(b"{", length=10**15), "ambiguous", Billed.MAYBE),
    "a gigantic answer": (gigantic, "ambiguous", Billed.MAYBE),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_answer_that_is_none_is_maybe_billed_and_the_job_goes_on_elsewhere(
    place: WorkerPlace, server: RawAnswers, name: str
) -> None:
    server.talks["bad"], failure_class, billed = STRANGE[name]
    place.worker(catalog(server))
    job = place.run(new_job())
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, "fine")
    first, second = place.store.attempts(job["id"])
    assert (first["failure"]["class"], first["billed"], first["cost_picousd"]) == (failure_class, billed, None)
    assert (second["deployment"], second["billed"]) == ("fake/good@us", Billed.YES)


def test_a_right_answer_under_a_wrong_type_is_an_answer(place: WorkerPlace, server: RawAnswers) -> None:
    server.talks["bad"] = answers(completion(), "text/plain; charset=latin-1")
    place.worker(catalog(server))
    job = place.run(new_job())
    assert (job["state"], job["result"]["deployment"]) == (State.SUCCEEDED, "fake/bad@us")


@pytest.mark.parametrize("talk", [slow_loris, trickle], ids=["after its first line", "from the first byte"])
def test_a_server_that_trickles_holds_no_call_longer_than_its_time(
    place: WorkerPlace, server: RawAnswers, talk: Talk
) -> None:
    server.talks["bad"] = talk
    place.worker(catalog(server, timeout=0.5))
    job = place.run(new_job())
    assert job["state"] == State.SUCCEEDED
    first = place.store.attempts(job["id"])[0]
    assert (first["outcome"], first["billed"]) == (Outcome.FAILED, Billed.MAYBE)


def test_a_stream_that_never_ends_is_left_at_its_time_and_what_it_said_is_counted(
    place: WorkerPlace, server: RawAnswers
) -> None:
    server.talks["bad"] = endless_stream
    place.worker(catalog(server, timeout=0.5))
    job = place.run(new_job(constraints=Constraints(stream=True, fallback=False, max_attempts=1)))
    assert job["state"] == State.FAILED
    [attempt] = place.store.attempts(job["id"])
    assert (attempt["failure"]["class"], attempt["billed"], attempt["cost_picousd"]) == ("timeout", Billed.MAYBE, None)
    assert attempt["output_tokens"] > 0


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_nobody_is_followed_elsewhere(place: WorkerPlace, server: RawAnswers, status: str) -> None:
    server.talks["bad"] = says(
        f"HTTP/1.1 {status}\r\nLocation: {server.url}/taken\r\nContent-Length: 0\r\n\r\n".encode()
    )
    place.worker(catalog(server))
    attempt = first_attempt(place, place.submit(new_job())[0])
    assert (attempt["outcome"], attempt["billed"]) == (Outcome.FAILED, Billed.NO)
    assert f"HTTP {status[:3]}" in attempt["failure"]["message"]
    assert {path for path, _ in server.asked} == {"/v1/chat/completions"}


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": -1, "completion_tokens": 10},
        {"prompt_tokens": 2**63, "completion_tokens": 10},
        {"prompt_tokens": 2**80, "completion_tokens": 2**80},
        {"prompt_tokens": "many", "completion_tokens": None},
    ],
    ids=["missing", "empty", "negative", "64 bits", "beyond 64 bits", "no numbers"],
)
def test_a_usage_that_cannot_be_is_a_cost_that_nobody_knows_and_never_nothing(
    place: WorkerPlace, server: RawAnswers, usage: Any
) -> None:
    server.talks["bad"] = answers(completion(usage))
    place.worker(catalog(server))
    job = place.run(new_job())
    [attempt] = place.store.attempts(job["id"])
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, "fine")
    assert (attempt["billed"], attempt["cost_picousd"]) == (Billed.YES, None)


@pytest.mark.parametrize(("finish", "kept"), [("paused_by_moon", "paused_by_moon"), (None, None), (7, None)])
def test_a_finish_reason_that_nobody_knows_loses_no_answer(
    place: WorkerPlace, server: RawAnswers, finish: Any, kept: str | None
) -> None:
    server.talks["bad"] = answers(completion(finish=finish))
    place.worker(catalog(server))
    job = place.run(new_job())
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, "fine")
    assert job["result"]["finish_reason"] == kept
    assert place.store.attempts(job["id"])[0]["cost_picousd"] == Decimal("0.00012")


def test_a_server_that_speaks_no_tls_gets_nothing_and_bills_nothing(place: WorkerPlace, server: RawAnswers) -> None:
    [bad, good] = catalog(server)
    place.worker(Catalog([replace(bad, base_url=bad.base_url.replace("http://", "https://")), good]))
    attempt = first_attempt(place, place.submit(new_job())[0])
    assert (attempt["failure"]["class"], attempt["billed"], attempt["cost_picousd"]) == ("connection", Billed.NO, 0)
    assert server.asked == []


def test_a_gigantic_answer_is_not_kept(place: WorkerPlace, server: RawAnswers) -> None:
    sent = 0

    def counted(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices": "')
        while sent < 4 * GIGANTIC:
            sent += connection.send(b"x" * 65_536)

    server.talks["bad"] = counted
    place.worker(catalog(server))
    assert place.run(new_job())["state"] == State.SUCCEEDED
    assert 0 < sent < 2 * GIGANTIC
