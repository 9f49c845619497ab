"""Whole scheduler processes: who leads, who takes over, what a failing database does to them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import psycopg
import pytest
import sqlalchemy as sa

from scheduler.outages import ResilientTask
from scheduler.process import SchedulerProcess
from synthralos.broker.brokers import build_broker
from synthralos.bus.build import build_bus
from synthralos.config.catalog import load_catalog
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.config.settings import Settings
from synthralos.core import Core
from synthralos.domain.states import Stage, Transition
from synthralos.live_config import LiveConfig
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.tables import leaders, processes
from synthralos.telemetry.outages import Outages
from tests.fakes.children import child
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import settlement
from tests.fakes.stores import Store


class Schedulers:
    """Scheduler processes of a test, each with a doorbell that records; all stopped at its end."""

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self._store = store
        self._stack = stack

    def start(self) -> tuple[SchedulerProcess, RecordingDoorbell]:
        """One more."""
        settings = Settings(
            database_url=self._store.database.url.render_as_string(hide_password=False),
            sweep_interval=0.05, leader_term=1.0, heartbeat_interval=0.2, worker_lost_after=1.0,
        )  # fmt: skip
        doorbell = RecordingDoorbell()
        core = recorded_core(settings, doorbell)
        process = SchedulerProcess(core)
        self._stack.callback(core.close)
        self._stack.callback(process.stop)
        process.start()
        return process, doorbell


def recorded_core(settings: Settings, doorbell: RecordingDoorbell) -> Core:
    """As `build_core`, with a doorbell that records."""
    database = Database(settings.database_url)
    return Core(
        settings=settings,
        database=database,
        bus=build_bus(database),
        broker=build_broker("memory://", "test", []),
        doorbell=doorbell,
        live=LiveConfig(Config(load_catalog(None), Credentials({}, load_catalog(None), "on"))),
    )


@pytest.fixture
def schedulers(store: Store) -> Iterator[Schedulers]:
    with ExitStack() as stack:
        yield Schedulers(store, stack)


def due_job(store: Store) -> str:
    """A parked job whose time has come."""
    job = store.claimed()
    store.settle(settlement(job, Transition.PARK, stage=Stage.EXECUTE, delay=3600))
    store.backdate(job.id, run_at=1)
    return job.id


def holder(store: Store) -> str:
    [row] = store.rows(leaders)
    return str(row["holder"])


def test_one_of_two_leads_and_the_other_follows_when_it_stops(store: Store, schedulers: Schedulers) -> None:
    first, first_bell = schedulers.start()
    assert first_bell.wait_for(due_job(store), Stage.EXECUTE)
    second, second_bell = schedulers.start()
    assert first_bell.wait_for(due_job(store), Stage.EXECUTE)
    assert second_bell.rung() == []
    assert first.leads
    assert holder(store) == first.process_id
    first.stop()
    assert second_bell.wait_for(due_job(store), Stage.EXECUTE)
    assert holder(store) == second.process_id


def test_a_scheduler_registers_and_signs_off(store: Store, schedulers: Schedulers) -> None:
    process, bell = schedulers.start()
    assert bell.wait_for(due_job(store))
    [row] = store.processes.living("scheduler")
    assert (row.id, row.pid) == (process.process_id, os.getpid())
    process.stop()
    process.stop()
    [ended] = store.rows(processes, processes.c.kind == "scheduler")
    assert ended["state"] == "stopped"
    assert not process.leads


def test_a_scheduler_that_was_declared_lost_goes_on_as_another(store: Store, schedulers: Schedulers) -> None:
    process, bell = schedulers.start()
    assert bell.wait_for(due_job(store))
    before = process.process_id
    assert before is not None
    store.lose(before)
    while process.process_id == before:
        assert bell.wait_for(due_job(store))
    assert bell.wait_for(due_job(store))
    assert holder(store) == process.process_id
    assert [row.id for row in store.processes.living("scheduler")] == [process.process_id]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_killed_leader_is_followed_and_its_work_goes_on(
    store: Store, schedulers: Schedulers, how: signal.Signals
) -> None:
    with spawn(store) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "has the lead of the schedulers now" in line:
                break
        _, bell = schedulers.start()
        assert process.poll() is None
        process.send_signal(how)
        assert bell.wait_for(due_job(store), Stage.EXECUTE)
        process.stderr.read()
        assert process.wait() == (-how if how is signal.SIGKILL else 0)
    ended = store.rows(processes, processes.c.pid == process.pid)
    assert {row["state"] for row in ended} <= ({"lost", "running"} if how is signal.SIGKILL else {"stopped"})


def spawn(store: Store) -> AbstractContextManager["subprocess.Popen[str]"]:
    """`run_scheduler` in a process of its own; it logs to its standard error."""
    code = """
import logging, sys
from scheduler.process import run_scheduler
from synthralos.config.settings import Settings
logging.basicConfig(level="INFO")
run_scheduler(Settings(database_url=sys.argv[1], leader_term=1.0, sweep_interval=0.05))
"""
    url = store.database.url.render_as_string(hide_password=False)
    return child([sys.executable, "-c", code, url], stderr=subprocess.PIPE)


def test_a_scheduler_starts_without_its_database_and_works_when_it_is_there(sqlite_database: str) -> None:
    path = Database(sqlite_database).url.database
    assert path is not None
    os.mkdir(path)  # where the file should be
    tried = threading.Event()
    bell = RecordingDoorbell()
    settings = Settings(database_url=sqlite_database, sweep_interval=0.05, leader_term=1.0, heartbeat_interval=0.2)
    core = recorded_core(settings, bell)
    sa.event.listen(core.database.write, "do_connect", lambda *_: tried.set())
    process = SchedulerProcess(core)
    process.start()
    assert tried.wait(30)
    os.rmdir(path)
    from migrations.runner import upgrade

    mine = Database(sqlite_database)
    upgrade(mine)
    assert bell.wait_for(due_job(Store(mine)), Stage.EXECUTE)
    process.stop()
    core.close()
    mine.close()


def test_a_failing_job_is_told_at_its_start_and_end_and_not_again_within_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transient = DatabaseFailed(psycopg.OperationalError("connection refused"))
    runs: list[Exception | bool] = [True, transient, transient, False, True, transient, True, ValueError("a bug"), True]

    def job() -> bool:
        now = runs.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    persistent = ResilientTask("job", job, Outages())
    levels = []
    with caplog.at_level("INFO"):
        while runs:
            caplog.clear()
            persistent()
            levels.append([record.levelname for record in caplog.records])
    assert levels == [[], ["WARNING"], [], [], ["WARNING"], [], [], ["ERROR"], ["WARNING"]]
