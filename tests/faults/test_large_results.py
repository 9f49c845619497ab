"""A large result is served by a real API process that never holds it as a whole."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.keys import Keys
from synthralos.store.tables import results
from tests.faults.harness import Site, site
from tests.faults.harness_processes import Process

MEGABYTE = 1_000_000
WORDS = 'Über "alles" ☃ 🌍 \\ '
"""Characters of one to four bytes, and those that JSON writes with a backslash."""


def finished_with(site: Site, megabytes: int) -> tuple[str, dict[str, object]]:
    """A finished job whose result's text has about that size, and its result."""
    site.worker()
    [job_id] = site.submit()
    site.wait_until_done()
    return job_id, with_text(site, job_id, megabytes)


def with_text(site: Site, job_id: str, megabytes: int) -> dict[str, object]:
    """Give the job's result a text of about that size; the result."""
    result = {**site.job(job_id).result, "text": WORDS * (megabytes * MEGABYTE // len(WORDS.encode()))}
    with site.database.transaction() as connection:
        connection.execute(sa.update(results).where(results.c.job_id == job_id).values(result=result))
    return result


def peak(api: Process) -> int:
    """The most bytes that the process has held in memory since `forget_peak`."""
    status = Path(f"/proc/{api.child()}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak(api: Process) -> None:
    Path(f"/proc/{api.child()}/clear_refs").write_text("5")


def headers_of(site: Site, role: Role = Role.ADMIN) -> dict[str, str]:
    secret, _ = Keys(site.database).create("test", role, EVERYTHING)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def embedded_site(sqlite_database: str, tmp_path: Path) -> Iterator[Site]:
    with site(sqlite_database, "memory://", tmp_path, port=0) as made:
        yield made


def served(client: httpx.Client, path: str, process: Process) -> tuple[bytes, int]:
    """What it answers, and by how many bytes the process's memory grows meanwhile."""
    forget_peak(process)
    before, came = peak(process), bytearray()
    with client.stream("GET", path) as answer:
        for piece in answer.iter_bytes():
            came += piece
        length = answer.headers.get("content-length")
        assert length is None or int(length) == len(came)
    return bytes(came), peak(process) - before


def check(job: dict[str, object], job_id: str, result: dict[str, object]) -> None:
    """It is the job, with all of its result."""
    assert (job["id"], job["state"]) == (job_id, "succeeded")
    had = job["result"]
    assert isinstance(had, dict)
    digests = [hashlib.sha256(str(each["text"]).encode()).digest() for each in (had, result)]
    assert digests[0] == digests[1]
    assert had == result


def last_data(stream: bytes) -> dict[str, object]:
    """The data of the last entry of an event stream."""
    *_, event, data = stream.decode().rstrip("\n").split("\n")
    assert event == "event: done"
    found: dict[str, object] = json.loads(data.removeprefix("data: "))
    return found


@pytest.mark.parametrize("query", ["", "?wait=1", "/events"])
def test_a_large_result_is_served_whole_and_never_held_whole(make_site: Callable[..., Site], query: str) -> None:
    site = make_site()
    job_id, result = finished_with(site, 24)
    api = site.api()
    api.ready()
    [small] = site.submit()
    site.wait_until_done()
    with httpx.Client(base_url=f"{api.url}/api/v1/jobs", headers=headers_of(site), timeout=120) as client:
        served(client, f"/{small}{query}", api)
        came, grown = served(client, f"/{job_id}{query}", api)
    check(last_data(came) if query == "/events" else json.loads(came), job_id, result)
    assert grown < 12 * MEGABYTE, f"{grown} bytes for a result of {len(came)}"


@pytest.mark.parametrize("query", ["", "?wait=1", "/events"])
def test_a_large_result_in_sqlite_is_served_whole_and_never_held_whole(embedded_site: Site, query: str) -> None:
    site = embedded_site
    system = site.embedded()
    with system.client() as client:
        answer = client.post("/api/v1/jobs", json=[{"model": "fake/small", "prompt": f"Job {n}."} for n in range(2)])
        job_id, small = (job["id"] for job in answer.json()["jobs"])
        for each in (job_id, small):
            assert client.get(f"/api/v1/jobs/{each}?wait=60").json()["state"] == "succeeded"
        result = with_text(site, job_id, 24)
        site.eventually(lambda: site.job(small).analyzed_at, "the small one is analyzed")
        served(client, f"/api/v1/jobs/{small}{query}", system)
        came, grown = served(client, f"/api/v1/jobs/{job_id}{query}", system)
    check(last_data(came) if query == "/events" else json.loads(came), job_id, result)
    assert grown < 12 * MEGABYTE, f"{grown} bytes for a result of {len(came)}"


def test_who_only_looks_gets_a_large_result_too(make_site: Callable[..., Site]) -> None:
    site = make_site()
    job_id, result = finished_with(site, 1)
    api = site.api()
    api.ready()
    served = httpx.get(f"{api.url}/api/v1/jobs/{job_id}", headers=headers_of(site, Role.VIEWER), timeout=60).json()
    assert (served["plan"], served["result"]) == (None, result)


def test_a_result_that_is_removed_while_it_is_served_is_no_whole_answer(make_site: Callable[..., Site]) -> None:
    site = make_site()
    job_id, _ = finished_with(site, 24)
    api = site.api()
    api.ready()
    with (
        httpx.stream("GET", f"{api.url}/api/v1/jobs/{job_id}", headers=headers_of(site), timeout=60) as answer,
        site.database.transaction() as connection,
    ):
        pieces = answer.iter_raw(65_536)
        next(pieces)
        connection.execute(sa.update(results).where(results.c.job_id == job_id).values(result=None))
        connection.commit()
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in pieces:
                pass


def test_an_event_stream_whose_result_is_removed_ends_early_and_who_comes_back_is_told_the_rest(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    job_id, _ = finished_with(site, 24)
    api = site.api()
    api.ready()
    with httpx.Client(base_url=f"{api.url}/api/v1/jobs", headers=headers_of(site), timeout=60) as client:
        with client.stream("GET", f"/{job_id}/events") as answer:
            pieces, came = answer.iter_raw(65_536), bytearray()
            came += next(pieces)
            with site.database.transaction() as connection:
                connection.execute(sa.update(results).where(results.c.job_id == job_id).values(result=None))
            for piece in pieces:
                came += piece
        assert not came.endswith(b"\n\n")
        again = last_data(client.get(f"/{job_id}/events").content)
    assert (again["state"], again["result"]) == ("succeeded", None)
