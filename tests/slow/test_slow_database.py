"""The database neither fails nor answers: the scheduler waits, says so once, and goes on where it was."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from migrations.runner import upgrade
from scheduler.process import SchedulerProcess
from synthralos.config.settings import Settings
from synthralos.domain.states import Stage, Transition
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed, is_transient
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store
from tests.fakes.tcp_proxy import TcpProxy
from tests.integration.test_scheduler_process import recorded_core

pytestmark = pytest.mark.slow


@pytest.fixture
def store(migrated_postgres_database: str) -> Iterator[Store]:
    with closing(Database(migrated_postgres_database)) as database:
        upgrade(database)
        yield Store(database)


@contextmanager
def scheduler(url: str) -> Iterator[RecordingDoorbell]:
    """A scheduler that leads, and the doorbell that it rings."""
    bell = RecordingDoorbell()
    settings = Settings(database_url=url, sweep_interval=0.05, leader_term=2.0, heartbeat_interval=0.2)
    core = recorded_core(settings, bell)
    process = SchedulerProcess(core)
    process.start()
    try:
        yield bell
    finally:
        process.stop()
        core.close()


def due(store: Store) -> str:
    """A parked job whose time has come."""
    job = store.claimed()
    store.settle(settlement(job, Transition.PARK, stage=Stage.EXECUTE, delay=3600))
    store.backdate(job.id, run_at=1)
    return job.id


def test_a_connection_that_stalls_delays_the_sweeper_and_breaks_nothing(store: Store) -> None:
    url = store.database.url
    with TcpProxy(url.host or "127.0.0.1", url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with scheduler(through) as bell:
            assert bell.wait_for(due(store))
            proxy.stall()
            late = due(store)
            assert not bell.wait_for(late, timeout=2.0)
            proxy.restore()
            assert bell.wait_for(late)
            assert bell.wait_for(due(store))


def test_a_locked_row_keeps_no_other_job_waiting(store: Store, migrated_postgres_database: str) -> None:
    held = due(store)
    with psycopg.connect(migrated_postgres_database) as other:
        other.execute("SELECT FROM open_jobs WHERE id = %s FOR UPDATE", (held,))
        with scheduler(migrated_postgres_database) as bell:
            assert bell.wait_for(due(store))
            assert bell.wait_for(due(store))
            assert held not in bell.rung()
            other.rollback()
            assert bell.wait_for(held)


def test_a_statement_that_takes_too_long_is_told_once_and_tried_again(
    store: Store, migrated_postgres_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Waking fails at its deadline, round after round; expiring goes on beside it."""
    hurried = sa.make_url(migrated_postgres_database).update_query_dict({"options": "-c statement_timeout=100ms"})
    waiting, late = due(store), store.submit(new_job(deadline=store.now()))
    with psycopg.connect(migrated_postgres_database, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$"
        )
        admin.execute("CREATE TRIGGER dawdle BEFORE UPDATE ON open_jobs FOR EACH ROW EXECUTE FUNCTION dawdle()")
        with caplog.at_level(logging.WARNING), scheduler(hurried.render_as_string(hide_password=False)) as bell:
            assert bell.wait_for(late[0], Stage.ANALYZE)
            another = store.submit(new_job(deadline=store.now()))
            assert bell.wait_for(another[0], Stage.ANALYZE)
            admin.execute("DROP TRIGGER dawdle ON open_jobs")
            assert bell.wait_for(waiting)
    told = [record for record in caplog.records if "sweeper does not work" in record.getMessage()]
    assert len(told) == 1


def test_a_full_disk_is_an_error_that_passes(sqlite_database: str) -> None:
    room: list[int] = []

    def limit(connection: object, _record: object) -> None:
        for pages in room:
            connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

    with closing(Database(sqlite_database)) as database:
        upgrade(database)
        sa.event.listen(database.write, "connect", limit)
        store = Store(database)
        [first] = store.submit()
        with database.snapshot() as connection:
            room.append(int(connection.exec_driver_sql("PRAGMA page_count").scalar_one()))
        database.write.dispose()
        with pytest.raises(DatabaseFailed) as failed:
            store.submit(new_job("a long text" * 100_000))
        assert is_transient(failed.value)
        assert store.state(first) == "queued"
        room.clear()
        database.write.dispose()
        [second] = store.submit(new_job("a long text" * 100_000))
        assert store.state(second) == "queued"
