"""Thousands of jobs leave no thread, file or memory behind in the API and the scheduler."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.keys import Keys
from synthralos.store.tables import all_jobs, open_jobs
from tests.fakes.broker_sites import rabbitmq_vhost
from tests.faults.harness import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_BODY = {"model": "fake/small", "prompt": "Say hello."}
_ROUNDS, _JOBS = 8, 500
_GROWN_MB = 40


@pytest.fixture
def make_site(migrated_postgres_database: str, amqp_server_url: str, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:
        broker = stack.enter_context(rabbitmq_vhost())
        yield lambda **settings: stack.enter_context(site(migrated_postgres_database, broker, tmp_path, **settings))


def test_the_api_holds_no_more_after_thousands_of_jobs(make_site: Callable[..., Site]) -> None:
    """Submitted, waited for and read, over connections that come and go."""
    place = make_site()
    place.worker()
    api = place.api()
    api.ready()
    secret, _ = Keys(place.database).create("leaks", Role.SERVICE, Scope("acme", "main"))
    headers = {"Authorization": f"Bearer {secret}"}
    before: dict[str, int] = {}
    for _ in range(_ROUNDS):
        with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
            jobs = client.post("/api/v1/jobs", json=[_BODY] * _JOBS).raise_for_status().json()["jobs"]
            for job in jobs[:: _JOBS // 10]:
                client.get(f"/api/v1/jobs/{job['id']}", params={"wait": 30}).raise_for_status()
        place.wait_until_done()
        before = before or api.resources()
    assert place.states() == {"succeeded": _ROUNDS * _JOBS}
    api.check_leaks(before, grown_mb=_GROWN_MB)


def test_the_scheduler_holds_no_more_after_thousands_of_jobs(make_site: Callable[..., Site]) -> None:
    """Parked, woken, rung for, expired and told."""
    place = make_site()
    scheduler = place.scheduler()
    before: dict[str, int] = {}
    for number in range(1, _ROUNDS + 1):
        woken, late = place.submit(_JOBS, ring=False), place.submit(_JOBS, ring=False)
        with place.database.transaction() as connection:
            parked = {"state": "parked", "run_at": sa.func.now()}
            connection.execute(sa.update(open_jobs).where(open_jobs.c.id.in_(woken)).values(parked))
            connection.execute(sa.update(open_jobs).where(open_jobs.c.id.in_(late)).values(deadline=sa.func.now()))
        both = {"queued": number * _JOBS, "expired": number * _JOBS}
        place.eventually(lambda both=both: place.states() == both, "all are woken or expired")  # type: ignore[misc]
        before = before or scheduler.resources()
    assert {row.state for row in place.query(sa.select(all_jobs.c.state).distinct())} == {"queued", "expired"}
    scheduler.check_leaks(before, grown_mb=_GROWN_MB)
