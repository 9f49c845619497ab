"""The heartbeat of a process: registered, alive, and under a new identity when it was declared lost."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from migrations.runner import upgrade
from synthralos.bus.build import build_bus
from synthralos.store.admin.processes import Processes
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.tables import processes
from tests.fakes.heard import Heard
from tests.fakes.stores import Store
from workers.heartbeat import Heartbeat

HOUR = timedelta(hours=1)
Make = Callable[..., Heartbeat]


@pytest.fixture
def store(sqlite_database: str) -> Iterator[Store]:
    with closing(Database(sqlite_database)) as database:
        upgrade(database)
        yield Store(database)


@pytest.fixture
def heard(store: Store) -> Heard:
    return Heard(store.database, build_bus(store.database))


@pytest.fixture
def make(store: Store) -> Iterator[Make]:
    """Makes a heartbeat; its thread ends with the test."""
    made: list[Heartbeat] = []

    def heartbeat(registry: Processes | None = None, interval: float = 0.01) -> Heartbeat:
        made.append(Heartbeat(registry or store.processes, "worker", ["guard", "route"], interval))
        return made[-1]

    yield heartbeat
    for each in made:
        if each.process_id:
            each.stop()


def row(store: Store, process_id: str) -> dict[str, object]:
    [found] = store.rows(processes, processes.c.id == process_id)
    return found


def test_a_process_registers_and_beats(store: Store, heard: Heard, make: Make) -> None:
    heartbeat = make()
    heartbeat.start()
    [registered] = store.processes.living("worker")
    assert (registered.id, registered.stages) == (heartbeat.process_id, ["guard", "route"])
    store.silence(heartbeat.process_id, 60)
    heard.until(lambda: store.processes.living("worker")[0].age < 30)
    assert [each.id for each in store.processes.living("worker")] == [heartbeat.process_id]


def test_a_process_that_was_declared_lost_goes_on_under_a_new_identity(store: Store, heard: Heard, make: Make) -> None:
    heartbeat = make()
    heartbeat.start()
    lost = heartbeat.process_id
    store.lose(lost)
    heard.until(lambda: heartbeat.process_id != lost)
    assert [each.id for each in store.processes.living("worker")] == [heartbeat.process_id]
    assert row(store, lost)["state"] == "lost"


def test_a_process_says_that_it_drains_and_has_stopped_and_still_beats_between(
    store: Store, heard: Heard, make: Make
) -> None:
    heartbeat = make()
    heartbeat.start()
    heartbeat.mark("draining")
    store.silence(heartbeat.process_id, 60)
    heard.until(lambda: store.processes.living("worker")[0].age < 30)
    assert row(store, heartbeat.process_id)["state"] == "draining"
    heartbeat.stop()
    heartbeat.mark("stopped")
    assert store.processes.living("worker") == []


class Ahead(Processes):
    """The database's clock is an hour ahead."""

    def beat(self, process_id: str) -> datetime | None:
        """See `Processes.beat`."""
        now = super().beat(process_id)
        return None if now is None else now + HOUR


def test_the_clock_goes_by_the_database_from_the_start(store: Store, make: Make) -> None:
    heartbeat = make(Ahead(store.database), interval=3600.0)
    heartbeat.start()
    assert abs(heartbeat.clock.now() - datetime.now(UTC) - HOUR) < timedelta(minutes=1)


class Away(Processes):
    """The database is away for the first calls."""

    def __init__(self, database: Database, failures: int) -> None:
        super().__init__(database)
        self.failures = failures

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise DatabaseFailed(psycopg.OperationalError("connection refused"))

    def register(self, kind: str, stages: object = ()) -> str:
        """See `Processes.register`."""
        self._fail()
        return super().register(kind)

    def beat(self, process_id: str) -> datetime | None:
        """See `Processes.beat`."""
        self._fail()
        return super().beat(process_id)

    def mark(self, process_id: str, state: str) -> None:
        """See `Processes.mark`."""
        self._fail()
        super().mark(process_id, state)


def test_a_process_waits_for_its_database(store: Store, make: Make) -> None:
    heartbeat = make(Away(store.database, failures=1))
    heartbeat.start()
    assert [each.id for each in store.processes.living("worker")] == [heartbeat.process_id]


def test_a_process_whose_database_does_not_come_does_not_start(store: Store, make: Make) -> None:
    heartbeat = make(Away(store.database, failures=1000))
    with pytest.raises(DatabaseFailed):
        heartbeat.start(patience=0)


def test_a_database_that_goes_away_is_told_once_and_outlived(
    store: Store, heard: Heard, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Away(store.database, failures=0)
    heartbeat = make(registry)
    heartbeat.start()
    registry.failures = 5
    store.silence(heartbeat.process_id, 60)
    heard.until(lambda: store.processes.living("worker")[0].age < 30)
    heartbeat.stop()
    told = [record.__dict__ for record in caplog.records if "outage" in record.__dict__]
    assert [("remedy" in line) for line in told] == [True, False]
    registry.failures = 1
    heartbeat.mark("stopped")
    assert row(store, heartbeat.process_id)["state"] == "running"


def test_a_heart_beats_while_the_last_beat_is_young(store: Store, make: Make) -> None:
    now = 0.0
    heartbeat = Heartbeat(store.processes, "worker", [], 3600.0, 15.0, lambda: now)
    assert not heartbeat.beats
    heartbeat.start()
    try:
        assert heartbeat.beats
        now = 14.0
        assert heartbeat.beats
        now = 15.0
        assert not heartbeat.beats
    finally:
        heartbeat.stop()


def test_a_heart_whose_thread_has_ended_does_not_beat(make: Make) -> None:
    heartbeat = make(interval=3600.0)
    heartbeat.start()
    assert heartbeat.beats
    heartbeat.stop()
    assert not heartbeat.beats
