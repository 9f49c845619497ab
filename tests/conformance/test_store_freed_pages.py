"""Room that a SQLite file does not need any more goes back to the file system."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from migrations.runner import upgrade
from scheduler.keeping import KeepingTask
from synthralos.domain.retention import Kind, Retention
from synthralos.store.retention.freed_pages import FEW, FreedPages
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.connecting import prepare_sqlite
from synthralos.store.sql.database import Database
from synthralos.telemetry.metrics import Metrics
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store

LARGE = "word " * 20_000
"""100 kB of a prompt."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "synthralos.db"


def filled(path: Path, jobs: int = 100) -> Database:
    """A file with jobs that ended long ago, of 100 kB each."""
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    store = Store(database)
    for _ in range(jobs):
        begun = store.started(new_job(LARGE))
        store.settle(settlement(begun, attempt=attempt_end(1), analyzed=True))
        store.backdate(begun.id, finished_at=10 * 86_400, created_at=10 * 86_400)
    return database


def size(path: Path) -> int:
    """Bytes of the file, with all that its log held."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


def emptied(database: Database) -> None:
    times = Retention(dict.fromkeys(Kind, 3_000.0) | {Kind.PAYLOADS: 1.0})
    assert dict(Keeping(database).run(times))[Kind.PAYLOADS] > 0


def test_a_file_becomes_smaller_when_texts_are_removed(path: Path) -> None:
    with closing(filled(path)) as database:
        full = size(path)
        emptied(database)
        assert size(path) < full / 2


@pytest.mark.parametrize("leads", [True, False])
def test_the_leader_gives_room_back_and_nobody_else(path: Path, leads: bool) -> None:
    with closing(filled(path)) as database:
        times = Retention(dict.fromkeys(Kind, 3_000.0) | {Kind.PAYLOADS: 1.0})
        full = size(path)
        task = KeepingTask(database, lambda: times, 0.5, lambda: leads, Metrics(), clock=lambda: 100.0)
        assert task.round() is leads
        assert (size(path) < full / 2) is leads


def test_one_step_gives_a_bounded_number_of_pages_back(path: Path) -> None:
    with closing(filled(path)) as database:
        with database.transaction() as connection:
            connection.exec_driver_sql("UPDATE jobs SET request = '{}'")
        pages = FreedPages(database)
        before = size(path)
        assert pages.give_back(7)
        assert before - size(path) == 7 * 4096
        while pages.give_back():
            pass
        with database.snapshot() as connection:
            free, count = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("freelist_count", "page_count")
            )
        assert free <= max(FEW, count // 10) + 1


def test_a_file_that_was_made_before_gives_room_back_too(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:  # as a release before would have made it
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("CREATE TABLE old (n)")
        connection.commit()
    with closing(filled(path)) as database:
        full = size(path)
        emptied(database)
        assert size(path) < full / 2


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda most: monkeypatch.setattr("synthralos.store.sql.connecting._QUICKLY_WRITTEN", most)


def test_a_large_file_of_before_is_not_written_anew(path: Path, large: Callable[[int], None]) -> None:
    large(100)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("CREATE TABLE old (n)")
        connection.commit()
    with closing(Database(f"sqlite:///{path}")) as database:
        upgrade(database)
        with database.snapshot() as connection:
            assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() == 0
        assert not FreedPages(database).give_back()


def test_a_connection_opens_while_somebody_writes_for_long(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as first, closing(sqlite3.connect(path, timeout=0.05)) as second:
        prepare_sqlite(first)
        first.execute("CREATE TABLE t (x)")
        first.execute("BEGIN IMMEDIATE")
        first.execute("INSERT INTO t VALUES (1)")
        prepare_sqlite(second)
        assert second.execute("PRAGMA auto_vacuum").fetchone() == (2,)
