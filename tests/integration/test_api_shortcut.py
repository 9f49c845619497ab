"""The short way and FastAPI's answer alike, byte for byte; and waiting for a job costs the reads that it must."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from api.process import ApiServer
from api.shortcut import handler_of
from migrations.runner import upgrade
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.domain.writes import Written
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreBusy
from tests.fakes.jobs import failure, settlement
from tests.integration.api_place import ACME, JOBS, NEVER, RESULT, Place, api_over, core_over, meanwhile, submitted

_CHANGING = re.compile(rb"(?i)^date: .*\r\n", re.MULTILINE)
_IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
HELLO = b'{"prompt": "Hello"}'


@dataclass(frozen=True)
class Site:
    """One database behind two servers: with the shortcut and without it."""

    short: Place
    long: ApiServer
    keys: dict[str, str]
    job: str

    def both(self, request: bytes) -> tuple[bytes, bytes]:
        """What each answers."""
        for name, key in self.keys.items():
            request = request.replace(b"<%s>" % name.encode(), key.encode())
        request = request.replace(b"<job>", self.job.encode()).replace(b"<JOB>", self.job.upper().encode())
        return exchange(self.short.url, request), exchange(self.long.url, request)


def exchange(url: str, request: bytes) -> bytes:
    """The raw answer, until the server closes the connection."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return _CHANGING.sub(b"", answer)


def raw(method: str, path: str, *headers: str, body: bytes = b"", key: str = "service", length: bool = True) -> bytes:
    """A request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close", *headers]
    lines += [f"Authorization: Bearer <{key}>"] * bool(key) + [f"Content-Length: {len(body)}"] * length
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(*headers: str, body: bytes = HELLO, **more: Any) -> bytes:
    """A submission in JSON."""
    return raw("POST", JOBS, "Content-Type: application/json", *headers, body=body, **more)


def chunked(body: bytes, *headers: str) -> bytes:
    """A submission of unknown length."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:5], body[5:]) if part) + b"0\r\n\r\n"
    return post("Transfer-Encoding: chunked", *headers, body=b"", length=False) + chunks


REQUESTS: dict[str, bytes] = {
    "one": post(),
    "array": post(body=b'[{"prompt": "a"}, {"prompt": "b"}]'),
    "all fields": post(
        body=b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1, "metadata": {"a": 1},'
        b' "constraints": {"max_cost_usd": "0.5"}, "deadline_seconds": 60, "lane": "bulk"}'
    ),
    "chunked": chunked(HELLO),
    "chunked too large": chunked(b"x" * 20_001),
    "announced too large": post(body=b"x" * 20_001),
    "large": post(body=json.dumps({"prompt": "x" * 19_000}).encode()),
    "announced nonsense": post("Content-Length: many", length=False),
    "expects to continue": post("Expect: 100-continue"),
    "empty": post(body=b""),
    "not JSON": post(body=b"{"),
    "not UTF-8": post(body=b'{"prompt": "\xff"}'),
    "NUL": post(body=rb'{"prompt": "\u0000"}'),
    "deep": post(body=b"[" * 40 + b"]" * 40),
    "blank": post(body=b'{"prompt": " "}'),
    "many errors": post(body=b'{"promt": 1, "model": 5, "seed": 1e400, "lane": "x"}'),
    "unknown model": post(body=b'{"prompt": "a", "model": "sandbox/smal"}'),
    "another tenant": post(body=b'{"prompt": "a", "organization": "other"}'),
    "no content type": raw("POST", JOBS, body=HELLO),
    "odd content type": raw("POST", JOBS, "Content-Type:  Application/Problem+JSON; charset=utf-8", body=HELLO),
    "wrong content type": raw("POST", JOBS, "Content-Type: text/plain", body=HELLO),
    "two content types": raw("POST", JOBS, "Content-Type: text/plain", "Content-Type: application/json", body=HELLO),
    "an accept that nobody can": post("Accept: text/html"),
    "traceparent": post(f"traceparent: 00-{'ab' * 16}-{'cd' * 8}-01"),
    "bad traceparent": post("traceparent: 00-nonsense"),
    "idempotency key": post("Idempotency-Key: k"),
    "idempotency key reused": post("Idempotency-Key: taken"),
    "empty idempotency key": post("Idempotency-Key:"),
    "long idempotency key": post(f"Idempotency-Key: {'x' * 256}"),
    "no key": post(key=""),
    "unknown key": post("Authorization: Bearer sk-syn-x", key=""),
    "odd scheme": post("Authorization: Basic x", key=""),
    "role too low": post(key="viewer"),
    "posted with a query": raw("POST", f"{JOBS}?x=1", "Content-Type: application/json", body=HELLO),
    "posted with a slash": raw("POST", f"{JOBS}/", body=HELLO),
    "old HTTP": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "get": raw("GET", f"{JOBS}/<job>"),
    "get by a viewer": raw("GET", f"{JOBS}/<job>", key="viewer"),
    "get by a stranger": raw("GET", f"{JOBS}/<job>", key="stranger"),
    "get by all": raw("GET", f"{JOBS}/<job>", key="whole"),
    "get without a key": raw("GET", f"{JOBS}/<job>", key=""),
    "get in upper case": raw("GET", f"{JOBS}/<JOB>"),
    "get escaped": raw("GET", f"{JOBS}/<job>".replace("jobs", "%6aobs")),
    "get with a slash": raw("GET", f"{JOBS}/<job>/"),
    "get with a body": raw("GET", f"{JOBS}/<job>", body=b"xyz"),
    "get nothing": raw("GET", f"{JOBS}/00000000-0000-7000-8000-000000000000"),
    "get nonsense": raw("GET", f"{JOBS}/nonsense"),
    **{
        f"wait={wait}": raw("GET", f"{JOBS}/<job>?{wait}")
        for wait in (
            "wait=0", "wait=5", "wait=1.5", "wait=120", "wait=121", "wait=-1", "wait=1e1", "wait=nan", "wait=", "wait",
            "wait=1&wait=2", "wait=1&x=2", "Wait=1", "wait=%31", "wait=+1", "wait=01", "x=1", "",
        )
    },
    **{
        f"{method} {path}": raw(method, path)
        for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH") for path in (JOBS, f"{JOBS}/<job>")
    },
    "post to a job": raw("POST", f"{JOBS}/<job>", body=HELLO),
    "list": raw("GET", f"{JOBS}?limit=1&state=failed"),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with closing(Database(f"sqlite:///{tmp_path_factory.mktemp('alike') / 'alike.db'}")) as database:
        upgrade(database)
        core = core_over(database, max_body_bytes=20_000)
        with api_over(core) as place, closing(place.client(Role.SERVICE)) as client:
            job_id = submitted(client, constraints={"max_cost_usd": "0.5"}, metadata={"a": "b"})
            place.finish(job_id)
            client.post(JOBS, json={"prompt": "another"}, headers={"Idempotency-Key": "taken"})
            keys = {
                "service": place.key(Role.SERVICE), "viewer": place.key(Role.VIEWER),
                "stranger": place.key(scope=Scope("other")), "whole": place.key(scope=EVERYTHING),
            }  # fmt: skip
            server = ApiServer(core, "127.0.0.1", 0, poll_seconds=NEVER, shortcut=False)
            server.start()
            yield Site(place, server, keys, job_id)
            server.stop()


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_alike(site: Site, name: str) -> None:
    short, long = site.both(REQUESTS[name])
    if name == "idempotency key":  # the second is the first one's replay
        assert b"idempotent-replayed: true\r\n" in long
        assert short == long.replace(b"idempotent-replayed: true\r\n", b"")
        return
    assert short.startswith(b"HTTP/1.")
    assert _IDS.sub(b"ID", short) == _IDS.sub(b"ID", long)


def test_refusals_of_the_store_are_alike(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def busy(*_: object) -> None:
        raise StoreBusy

    for act, status in ((busy, b"503"), (broken, b"500")):
        for server in (site.short.server, site.long):
            monkeypatch.setattr(server.room, "accept", act)
        short, long = site.both(REQUESTS["one"])
        assert (short, short.split()[1]) == (long, status)


def scope_of(method: str, path: str, query: bytes = b"") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": query}


def test_the_usual_takes_the_short_way_and_the_unusual_does_not(site: Site) -> None:
    short = [("POST", JOBS), ("GET", f"{JOBS}/{site.job}"), ("GET", f"{JOBS}/{site.job}", b"wait=60")]
    long = [
        ("GET", JOBS), ("HEAD", f"{JOBS}/{site.job}"), ("GET", f"{JOBS}/{site.job}/events"),
        ("GET", f"{JOBS}/{site.job}", b"wait=121"), ("GET", f"{JOBS}/{site.job}", b"wait=1&x=1"),
    ]  # fmt: skip
    assert all(handler_of(scope_of(*request)) is not None for request in short)
    assert all(handler_of(scope_of(*request)) is None for request in long)


def test_where_the_framework_reports_its_requests_they_take_its_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    with api_over(core_over(database)) as place:
        telemetry = place.server._app._native_telemetry
        monkeypatch.setattr(telemetry, "enabled", lambda: seen.append(1) or True)
        monkeypatch.setattr(type(telemetry), "__call__", _passing)
        submitted(place.client(Role.SERVICE))
    assert len(seen) == 2  # asked by the shortcut, and by the framework


async def _passing(self: Any, *, app: Any, scope: Any, receive: Any, send: Any, legacy_otel: bool = False) -> None:
    await app(scope, receive, send)


@pytest.fixture(params=[True, False], ids=["short", "long"])
def place(request: pytest.FixtureRequest, database: Database) -> Iterator[Place]:
    with api_over(core_over(database), shortcut=request.param) as place:
        yield place


def test_a_job_reads_the_same_by_one_statement_as_by_the_store(place: Place) -> None:
    client = place.client(Role.SERVICE)
    ids = [submitted(client, metadata={"a": 1}, constraints={"region": "eu"}), submitted(client), submitted(client)]
    place.finish(ids[0])
    place.finish(ids[1], Transition.FAIL, failure=failure().to_json())
    listed = {job["id"]: job for job in client.get(JOBS).json()["jobs"]}
    traced = [
        client.get(f"/api/v1/observability/traces/{job_id.replace('-', '')}").json()["jobs"][0]["job"]
        for job_id in ids
    ]  # fmt: skip
    views = [client.get(f"{JOBS}/{job_id}").json() for job_id in ids]
    assert views == traced
    assert all(listed[view["id"]].items() <= view.items() for view in views)


def test_who_waits_for_a_job_accepted_here_reads_it_once(place: Place) -> None:
    client = place.client(Role.SERVICE)
    job_id = submitted(client)

    def finish() -> None:
        place.await_waits()
        place.finish(job_id)

    with meanwhile(finish):
        assert client.get(f"{JOBS}/{job_id}", params={"wait": 60}).json()["state"] == "succeeded"
    hears_of_all = place.core.database.dialect == "postgresql"
    assert place.server.room.looks.reads == (1 if hears_of_all else 2)
    assert client.get(f"{JOBS}/{job_id}", params={"wait": 60}).json()["state"] == "succeeded"
    assert place.server.room.looks.reads == (2 if hears_of_all else 3)


def test_many_who_wake_up_together_are_read_together(place: Place) -> None:
    client = place.client(Role.SERVICE)
    job_ids = [submitted(client) for _ in range(20)]
    secret, looks = place.key(Role.VIEWER), place.server.room.looks
    with ThreadPoolExecutor(len(job_ids)) as threads:
        clients = [place.client_with(secret) for _ in job_ids]
        answers = threads.map(lambda one, job_id: one.get(f"{JOBS}/{job_id}?wait=50").json(), clients, job_ids)
        place.await_waits(len(job_ids))
        reads, keys = looks.reads, looks.keys
        ended = [settlement(job, result=RESULT) for job in place.store.claim(job_ids)]
        assert set(place.store.settlements.settle(ended)) == {Written.DONE}
        place.core.bus.publish(Topic.FINISHED, job_ids)
        assert {answer["state"] for answer in answers} == {"succeeded"}
    assert looks.keys - keys == len(job_ids)
    assert looks.reads - reads < len(job_ids)


def test_a_job_of_another_tenant_stays_hidden_from_who_would_wait_for_it(place: Place) -> None:
    job_id = submitted(place.client(Role.SERVICE, ACME))
    for scope in (Scope("other"), Scope("acme", "main"), Scope("acme", "default", "ann")):
        answer = place.client(Role.SERVICE, scope).get(f"{JOBS}/{job_id}", params={"wait": 60})
        assert answer.status_code == 404
