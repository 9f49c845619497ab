"""A large result is served by a real API process that never holds it as a whole."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.keys import Keys
from synthralos.store.tables import results
from tests.faults.harness import Site
from tests.faults.harness_processes import Api

MEGABYTE = 1_000_000
WORDS = 'Über "alles" ☃ 🌍 \\ '
"""Characters of one to four bytes, and those that JSON writes with a backslash."""


def finished_with(site: Site, megabytes: int) -> tuple[str, dict[str, object]]:
    """A finished job whose result's text has about that size, and its result."""
    site.worker()
    [job_id] = site.submit()
    site.wait_until_done()
    result = {**site.job(job_id).result, "text": WORDS * (megabytes * MEGABYTE // len(WORDS.encode()))}
    with site.database.transaction() as connection:
        connection.execute(sa.update(results).where(results.c.job_id == job_id).values(result=result))
    return job_id, result


def peak(api: Api) -> int:
    """The most bytes that the process has held in memory since `forget_peak`."""
    status = Path(f"/proc/{api.child()}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak(api: Api) -> None:
    Path(f"/proc/{api.child()}/clear_refs").write_text("5")


def headers_of(site: Site, role: Role = Role.ADMIN) -> dict[str, str]:
    secret, _ = Keys(site.database).create("test", role, EVERYTHING)
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("query", ["", "?wait=1"])
def test_a_large_result_is_served_whole_and_never_held_whole(make_site: Callable[..., Site], query: str) -> None:
    site = make_site()
    job_id, result = finished_with(site, 24)
    api = site.api()
    api.ready()
    url, headers = f"{api.url}/api/v1/jobs/{job_id}{query}", headers_of(site)
    [small] = site.submit()
    site.wait_until_done()
    assert httpx.get(f"{api.url}/api/v1/jobs/{small}", headers=headers, timeout=60).json()["result"]["text"]
    forget_peak(api)
    before, came = peak(api), bytearray()
    with httpx.stream("GET", url, headers=headers, timeout=120) as answer:
        for piece in answer.iter_bytes():
            came += piece
        assert int(answer.headers["content-length"]) == len(came)
    grown = peak(api) - before
    served = json.loads(came)
    assert (served["id"], served["state"]) == (job_id, "succeeded")
    digests = [hashlib.sha256(str(each["text"]).encode()).digest() for each in (served["result"], result)]
    assert digests[0] == digests[1]
    assert served["result"] == result
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
