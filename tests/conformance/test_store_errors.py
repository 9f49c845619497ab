"""Errors that databases raise for real, and that all of them leave the store as its own."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrations.runner import upgrade
from synthralos.domain.jobs import Job
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage
from synthralos.domain.writes import Written
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed, Kind, classify
from synthralos.store.sql.group_commit import GroupCommit
from tests.fakes.flushes import Told
from tests.fakes.jobs import new_job, settlement, start, submission
from tests.fakes.stores import Store


@pytest.fixture
def postgres(postgres_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY, body jsonb)")
        connection.execute("INSERT INTO things VALUES (1, '{}')")
        yield connection


@pytest.mark.parametrize("target", ["int", "uuid", "timestamptz", "jsonb"])
def test_what_is_told_of_a_wrong_value_does_not_quote_it(postgres_database: str, target: str) -> None:
    statement = f"SELECT 'my \"diagnosis\" is'::{target}"
    with (
        closing(Database(postgres_database)) as database,
        pytest.raises(DatabaseFailed) as raised,
        database.hot() as connection,
    ):
        connection.execute(statement)
    assert raised.value.kind is Kind.DATA
    assert "diagnosis" not in str(raised.value)
    assert "invalid input" in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", Kind.AGAIN),
        ("BEGIN READ ONLY; INSERT INTO things VALUES (2)", Kind.AGAIN),
        ("SET statement_timeout = 1; SELECT pg_sleep(60)", Kind.CONTENTION),
        ("SELECT repeat('x', 2000000000)", Kind.SIZE),
        ("INSERT INTO things VALUES (1)", Kind.DATA),
        ("SELECT 'x'::int", Kind.DATA),
        ("SELECT '{'::jsonb", Kind.DATA),
        ("SELECT 1/0", Kind.DATA),
        ("SELECT * FROM nothing", Kind.BUG),
        ("SELEKT", Kind.BUG),
    ],
)
def test_what_postgresql_raises_is_sorted(postgres: psycopg.Connection, statement: str, kind: Kind) -> None:
    with pytest.raises(psycopg.Error) as raised:
        postgres.execute(statement)  # type: ignore[call-overload]
    assert classify(raised.value) is kind


def test_a_value_that_the_driver_does_not_take_is_the_item_s_own_fault(postgres: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as raised:
        postgres.execute("SELECT %s::text", ["a NUL \0"])
    assert classify(raised.value) is Kind.DATA


def test_a_lock_and_a_deadlock_are_contention(postgres_database: str, postgres: psycopg.Connection) -> None:
    postgres.execute("INSERT INTO things VALUES (2)")
    with psycopg.connect(postgres_database) as one, psycopg.connect(postgres_database) as other:
        one.execute("UPDATE things SET body = '1' WHERE id = 1")
        other.execute("SET lock_timeout = 1")
        with pytest.raises(psycopg.Error) as locked:
            other.execute("UPDATE things SET body = '1' WHERE id = 1")
        assert classify(locked.value) is Kind.CONTENTION
        other.rollback()
        other.execute("UPDATE things SET body = '1' WHERE id = 2")
        errors: list[psycopg.Error] = []

        def cross(connection: psycopg.Connection, thing: int) -> None:
            try:
                connection.execute("UPDATE things SET body = '2' WHERE id = %s", [thing])
            except psycopg.Error as error:
                errors.append(error)
                connection.rollback()

        threads = [threading.Thread(target=cross, args=each) for each in ((one, 2), (other, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [classify(error) for error in errors] == [Kind.CONTENTION]


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(psycopg.Error) as raised:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=2")
    assert classify(raised.value) is Kind.AGAIN


def test_a_connection_that_was_closed_is_away(postgres: psycopg.Connection) -> None:
    postgres.close()
    with pytest.raises(psycopg.Error) as raised:
        postgres.execute("SELECT 1")
    assert classify(raised.value) is Kind.AGAIN


def test_what_sqlite_raises_is_sorted(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    with closing(sqlite3.connect(path, timeout=0)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
        one.execute("BEGIN IMMEDIATE")
        one.execute("INSERT INTO things VALUES (1)")
        found = {}
        for statement in ("BEGIN IMMEDIATE", "SELECT * FROM nothing"):
            with pytest.raises(sqlite3.Error) as raised:
                other.execute(statement)
            found[statement] = classify(raised.value)
        with pytest.raises(sqlite3.Error) as twice:
            one.execute("INSERT INTO things VALUES (1)")
        one.rollback()
        one.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.Error) as full:
            one.execute("CREATE TABLE more AS SELECT zeroblob(100000)")
    assert found == {"BEGIN IMMEDIATE": Kind.CONTENTION, "SELECT * FROM nothing": Kind.BUG}
    assert (classify(twice.value), classify(full.value)) == (Kind.DATA, Kind.AGAIN)


ACTS: dict[str, Callable[[Store, Job], object]] = {
    "accept": lambda store, job: store.submissions.accept([submission(new_job())]),
    "claim": lambda store, job: store.claims.claim(Stage.GUARD, [job.id], job.claim.worker_id or ""),
    "audit": lambda store, job: store.claims.active(job.claim.worker_id or ""),
    "start": lambda store, job: store.settlements.start([start(job)]),
    "settle": lambda store, job: store.settlements.settle([settlement(job)]),
    "sweep": lambda store, job: store.sweeps.wake_due(),
    "beat": lambda store, job: store.processes.beat(job.claim.worker_id or ""),
    "register": lambda store, job: store.processes.register("worker"),
    "read": lambda store, job: store.reader.jobs([job.id], EVERYTHING),
    "states": lambda store, job: store.reader.states([job.id]),
    "histories": lambda store, job: store.reader.histories([job.id]),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_outage_leaves_the_store_as_its_own_error(store: Store, act: str) -> None:
    job = store.claimed()
    if store.database.dialect == "postgresql":
        away = "postgresql://nobody@127.0.0.1:1/nowhere"
    else:
        away = f"sqlite:///{Path(store.database.url.database or '').parent}/nowhere/synthralos.db"
    with closing(Database(away)) as database, pytest.raises(DatabaseFailed):
        ACTS[act](Store(database), job)


def test_a_locked_row_holds_up_none_of_five_hundred_settlements(postgres_database: str) -> None:
    with closing(Database(postgres_database)) as database:
        upgrade(database)
        store = Store(database)
        worker = store.worker()
        held, *others = store.claim(store.submit(*(new_job() for _ in range(501))), worker)
        asked: list[int] = []

        def flush(jobs: Sequence[Job]) -> Sequence[Written]:
            asked.append(len(jobs))
            return store.settlements.settle([settlement(job) for job in jobs])

        async def scenario(release: Callable[[], None]) -> None:
            group, told = GroupCommit("test", flush, max_pending=None), Told()
            for number, job in enumerate([held, *others]):
                group.submit(job, told.of(number))
            await told.until(*range(1, 501))
            assert 0 not in told.results
            assert len(asked) < 70
            release()
            await told.until(0)
            assert set(told.results.values()) == {Written.DONE}
            await group.close()

        with psycopg.connect(postgres_database) as holder:
            holder.execute("SELECT 1 FROM open_jobs WHERE id = %s FOR UPDATE", [held.id])
            asyncio.run(scenario(holder.rollback))
