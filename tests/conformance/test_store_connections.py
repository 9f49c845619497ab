"""Connections: deadlines, settings of our own, and what becomes of those that are of no use any more."""

import asyncio
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from migrations.runner import upgrade
from synthralos.domain.scope import EVERYTHING
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed, is_contention, is_transient
from synthralos.store.sql.group_commit import GroupCommit
from tests.fakes.jobs import new_job, submission
from tests.fakes.stores import Store


@contextmanager
def altered(url: str, *settings: tuple[str, str]) -> Iterator[Callable[[], None]]:
    """The database with settings that new sessions begin with; gives what takes them back."""
    name = sa.make_url(url).database or ""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in settings:
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(sql.Identifier(name), sql.Identifier(setting), value)
            )

        def take_back() -> None:
            connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(name)))

        yield take_back


def test_what_a_database_prefers_changes_nothing(postgres_database: str) -> None:
    odd = (("DateStyle", "German, DMY"), ("TimeZone", "Asia/Kolkata"), ("client_encoding", "LATIN1"))
    with altered(postgres_database, *odd), closing(Database(postgres_database)) as database:
        upgrade(database)
        store = Store(database)
        [job_id] = store.submit(new_job("Grüße 漢字 🚀"))
        found = Reader(database).jobs([job_id], EVERYTHING)[job_id]
        assert found["request"]["body"]["messages"][0]["content"] == "Grüße 漢字 🚀"
        assert found["created_at"].utcoffset().total_seconds() == 0


def test_a_connection_that_turned_read_only_leaves_the_pool(postgres_database: str) -> None:
    with closing(Database(postgres_database)) as database:
        upgrade(database)
        database.close()  # the next connections are made while the database takes no writes
        with altered(postgres_database, ("default_transaction_read_only", "on")) as take_back:
            with pytest.raises(DatabaseFailed) as refused:
                Store(database).submit()
            assert is_transient(refused.value)
            take_back()
        assert len(Store(database).submit()) == 1


def test_the_url_s_own_options_are_joined_with_ours_and_win(postgres_database: str) -> None:
    url = f"{postgres_database}?options=-c%20lock_timeout%3D7s%20-c%20work_mem%3D5MB&application_name=mine"
    with closing(Database(url)) as database, database.snapshot() as connection:
        shown = {
            name: connection.execute(sa.text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "work_mem", "application_name", "jit", "statement_timeout", "timezone")
        }
        with closing(database.connect("-bus")) as listening:
            assert listening.execute("SHOW lock_timeout").fetchone() == ("7s",)
    assert shown == {
        "lock_timeout": "7s",
        "work_mem": "5MB",
        "application_name": "mine",
        "jit": "off",
        "statement_timeout": "10s",
        "timezone": "UTC",
    }


def test_several_hosts_may_be_named_for_the_pool_and_for_the_bus(postgres_database: str) -> None:
    url = sa.make_url(postgres_database)
    server = f"{url.host or '127.0.0.1'}:{url.port or 5432}"
    several = url.set(host=None, port=None, query={"host": ("127.0.0.1:1", server)})
    with closing(Database(several.render_as_string(hide_password=False))) as database:
        with database.snapshot() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        with closing(database.connect("-bus")) as listening:
            assert listening.execute("SELECT 1").fetchone() == (1,)


def test_a_locked_row_delays_its_own_job_only(postgres_database: str) -> None:
    with closing(Database(postgres_database)) as database:
        upgrade(database)
        store = Store(database)
        [held, *others] = store.submit(*(new_job() for _ in range(8)))
        write = sa.text("UPDATE open_jobs SET plan_key = 'seen' WHERE id = CAST(:id AS uuid)")

        def flush(ids: Sequence[str]) -> list[str]:
            with database.transaction() as connection:
                for job_id in ids:
                    connection.execute(write, {"id": job_id})
            return list(ids)

        async def scenario(release: Callable[[], None]) -> None:
            group = GroupCommit("test", flush)
            first = asyncio.ensure_future(group.commit(held))
            assert await asyncio.gather(*[group.commit(job_id) for job_id in others]) == others
            assert not first.done()
            release()
            assert await first == held
            await group.close()

        with psycopg.connect(postgres_database) as holder:
            holder.execute("SELECT 1 FROM open_jobs WHERE id = %s FOR UPDATE", [held])
            asyncio.run(scenario(holder.rollback))


def test_a_lock_that_somebody_keeps_is_an_error_that_passes(postgres_database: str) -> None:
    with closing(Database(postgres_database)) as database:
        upgrade(database)
        [held] = Store(database).submit()
        with psycopg.connect(postgres_database) as holder:
            holder.execute("SELECT 1 FROM open_jobs WHERE id = %s FOR UPDATE", [held])
            write = sa.text("UPDATE open_jobs SET plan_key = 'x' WHERE id = CAST(:id AS uuid)")
            with pytest.raises(DatabaseFailed) as waited, database.transaction() as connection:
                connection.execute(write, {"id": held})
        assert is_transient(waited.value)
        assert is_contention(waited.value)


def test_a_new_sqlite_file_is_its_owner_s_alone(sqlite_database: str) -> None:
    with closing(Database(sqlite_database)) as database:
        upgrade(database)
        Store(database).submissions.accept([submission(new_job())])
        folder = Path(str(database.url.database)).parent
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("synthralos.db*")} == {0o600}


def test_many_may_open_a_new_sqlite_file_at_once(sqlite_database: str) -> None:
    barrier, errors = threading.Barrier(8), []

    def open_it() -> None:
        with closing(Database(sqlite_database)) as database:
            barrier.wait()
            try:
                with database.snapshot() as connection:
                    connection.execute(sa.text("SELECT 1"))
            except DatabaseFailed as error:
                errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
