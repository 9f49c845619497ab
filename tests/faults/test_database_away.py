"""PostgreSQL restarted, and all of its connections terminated in a loop (scenario 7).

The processes stay the same ones all along, and hold no more threads and files than before.
"""

from collections.abc import Callable

import psycopg
import sqlalchemy as sa

from synthralos.domain.states import State
from synthralos.store.tables import all_attempts
from tests.faults.harness import Site
from tests.faults.harness_servers import postgresql

_ROUNDS, _JOBS = 15, 40


def test_all_connections_are_terminated_in_a_loop(make_site: Callable[..., Site]) -> None:
    """Each round waits until calls of its own jobs have arrived, so that the connections die in all kinds of work."""
    site = make_site()
    scheduler, worker = site.scheduler(), site.worker()
    site.submit(_JOBS)
    site.check_promises()
    pid, before = worker.child(), worker.resources()
    for number in range(1, _ROUNDS + 1):
        site.submit(_JOBS)
        site.provider.wait_for_calls(number * _JOBS + 1)
        _terminate_connections(site)
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: (_ROUNDS + 1) * _JOBS}
    assert worker.child() == pid
    assert scheduler.runs()
    worker.check_leaks(before, pooled=_JOBS)


def test_a_database_that_crashes_while_calls_end_loses_nothing(make_site: Callable[..., Site]) -> None:
    """Half of the calls succeed and half fail while the database is away, so that results and failures wait for it."""
    with postgresql() as cluster:
        site = make_site(database_url=cluster.url)
        site.scheduler()
        worker = site.worker()
        site.provider.behave(model="fake", hang=True)
        site.provider.behave(model="other", hang=True, status=500)
        site.submit(_JOBS)
        site.submit(_JOBS, model="other/small")
        site.provider.wait_for_calls(2 * _JOBS)
        pid = worker.child()
        cluster.stop()
        site.provider.reset()
        site.provider.release()
        cluster.start()
        site.check_promises()
        assert site.states() == {State.SUCCEEDED: 2 * _JOBS}
        assert worker.child() == pid
        assert site.query(sa.select(sa.func.count()).where(all_attempts.c.outcome == "lost"))[0][0] == 0


def test_a_database_that_restarts_under_load_loses_nothing(make_site: Callable[..., Site]) -> None:
    with postgresql() as cluster:
        site = make_site(database_url=cluster.url)
        site.scheduler()
        worker = site.worker()
        site.provider.behave(delay=0.2)
        for number in range(3):
            site.submit(200)
            site.provider.wait_for_calls(number * 200 + 50)
            cluster.restart()
        site.check_promises()
        assert site.states() == {State.SUCCEEDED: 600}
        assert worker.runs()


def _terminate_connections(site: Site) -> None:
    url = site.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
