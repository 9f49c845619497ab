"""SynthralOS as it is run on a server, as processes of its own, for one benchmark."""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import uvloop

from benchmarks import cpu
from benchmarks.client import Connection, submit_arrays
from benchmarks.places import BrokerPlace
from benchmarks.processes import Child, child, python, wait_until
from benchmarks.report import BenchmarkError
from benchmarks.workload import job_array
from migrations.runner import upgrade
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database
from tests.fakes.ports import free_port

ARRAY = 1000
"""Jobs of one submission, the most that the API takes."""

_PROCESSES = {
    "API": "from api.process import run_api; run_api(load_settings())",
    "scheduler": "from scheduler.process import run_scheduler; run_scheduler(load_settings())",
    "workers": "from workers.process import run_workers; run_workers(load_settings())",
    "exporter": "from workers.exporter_process import run_exporter; run_exporter(load_settings())",
}


@dataclass(frozen=True)
class Shape:
    """How much of the system runs. Without worker processes only the API, the scheduler and the exporters do."""

    worker_processes: int = 2
    worker_threads: int = 8
    exporters: int = 0


@dataclass
class System:
    """A running system: where its API is, a key for it, a connection to its database, and its processes' settings."""

    url: str
    key: str
    connection: psycopg.Connection[tuple[object, ...]]
    environment: Mapping[str, str]
    children: dict[str, Child] = field(default_factory=dict)
    sent: int = 0
    since: str = field(default_factory=new_id)
    """An id that is older than all that are submitted."""

    def submit(self, count: int) -> None:
        """Submit `count` jobs in arrays; returns when all are accepted."""
        bodies = self.bodies(count)
        self.post(bodies)

    def bodies(self, count: int) -> list[bytes]:
        """The submissions of the next `count` jobs, encoded."""
        firsts = range(self.sent, self.sent + count, ARRAY)
        self.sent += count
        return [job_array(first, min(ARRAY, self.sent - first)) for first in firsts]

    def post(self, bodies: Sequence[bytes]) -> None:
        """Send submissions; returns when all are accepted."""
        uvloop.run(submit_arrays(self.url, self.key, bodies))

    def until_finished(self, patience: float = 600.0) -> None:
        """Returns when no job of ours is unfinished."""
        unfinished = f"SELECT EXISTS (SELECT FROM open_jobs WHERE id > '{self.since}')"
        wait_until(lambda: not self.value(unfinished),
                   "the jobs to finish", list(self.children.values()), patience)  # fmt: skip

    def value(self, query: str) -> object:
        """The single value that a query gives."""
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def number(self, query: str) -> float:
        """The single number that a query gives; 0 for NULL."""
        return float(str(self.value(query) or 0))

    def meter(self, *others: Child) -> cpu.Meter:
        """A meter of all components, and of `others`."""
        return cpu.Meter(
            {
                **cpu.of_children([*self.children.values(), *others]),
                **cpu.of_postgresql(self.connection),
                **cpu.of_rabbitmq(),
            }
        )


@contextlib.contextmanager
def running(
    database_url: str,
    broker: BrokerPlace,
    catalog: Path,
    shape: Shape,
    own: Mapping[str, Mapping[str, str]] | None = None,
    **settings: str,
) -> Iterator[System]:
    """Start the system on an empty or migrated database; all of it is ready when the body begins.

    `own`: settings of one kind of process, by its name.
    """
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker.url,
        "BROKER_NAMESPACE": broker.namespace,
        "CATALOG_FILE": str(catalog),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKER_PROCESSES": str(max(1, shape.worker_processes)),
        "WORKER_THREADS": str(shape.worker_threads),
        "LOG_LEVEL": "WARNING",
        "ABUSE_GUARD": "off",
        "SECRETS_GUARD": "off",
        "PERSONAL_DATA_GUARD": "off",
        "ENABLE_SIMILARITY_LOGGING": "off",
        **settings,
    }
    key = _prepare(database_url)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        system = System(f"http://127.0.0.1:{port}", key, connection, environment)
        for name, kind in _processes(shape):
            its = {**environment, **(own or {}).get(kind, {})}
            system.children[name] = stack.enter_context(process(kind, its, name))
        _until_ready(system, shape)
        yield system


def _processes(shape: Shape) -> list[tuple[str, str]]:
    """The names and kinds of all that run."""
    first = ["API", "scheduler", *(["workers"] if shape.worker_processes else [])]
    return [*((name, name) for name in first), *((f"exporter {n + 1}", "exporter") for n in range(shape.exporters))]


def process(kind: str, environment: Mapping[str, str], name: str = "") -> AbstractContextManager[Child]:
    """A process of that kind: `API`, `scheduler`, `workers`, `exporter`; `name` is what tables call it."""
    command = python(f"from synthralos.config.settings import load_settings; {_PROCESSES[kind]}")
    return child(name or kind, command, environment)


def check_books(system: System) -> None:
    """Every job succeeded with one attempt, one line of cost and at least four spans; raises `BenchmarkError`."""
    wrong = {
        "jobs that did not succeed": "SELECT count(*) FROM all_jobs WHERE state <> 'succeeded'",
        "jobs missing": f"SELECT {system.sent} - count(*) FROM jobs",
        "attempts more than jobs": "SELECT count(*) - (SELECT count(*) FROM jobs) FROM attempts",
        "attempts that did not succeed": "SELECT count(*) FROM attempts WHERE outcome <> 'succeeded'",
        "cost lines more than jobs": "SELECT count(*) - (SELECT count(*) FROM jobs) FROM model_cost_logs",
        "cost lines without a cost": "SELECT count(*) FROM model_cost_logs WHERE cost_picousd IS NULL",
        "jobs with fewer than four spans": "SELECT (SELECT count(*) FROM jobs) - count(*) FROM "
        "results WHERE spans NOT LIKE E'%\\n%' AND json_array_length(spans::json) >= 4",
    }
    found = {name: count for name, query in wrong.items() if (count := int(system.number(query)))}
    if found:
        raise BenchmarkError(f"the books are wrong: {json.dumps(found)}")


def _prepare(database_url: str) -> str:
    database = Database(database_url)
    try:
        upgrade(database)
        secret, _ = Keys(database).create("benchmark", Role.SERVICE, Scope("bench"), plan="pro")
    finally:
        database.close()
    return secret


def _until_ready(system: System, shape: Shape) -> None:
    children = list(system.children.values())
    wait_until(lambda: asyncio.run(_api_is_ready(system.url)), "the API", children)
    workers = "SELECT count(*) FROM processes WHERE kind = 'worker' AND state = 'running'"
    wait_until(lambda: system.number(workers) >= shape.worker_processes, "the workers", children)
    exporters = "SELECT count(*) FROM processes WHERE kind = 'exporter' AND state = 'running'"
    wait_until(lambda: system.number(exporters) >= shape.exporters, "the exporters", children)


async def _api_is_ready(url: str) -> bool:
    try:
        async with Connection(url) as connection:
            status, _ = await connection.send(connection.encode("GET", "/health/ready"))
            return status == 200
    except (OSError, asyncio.IncompleteReadError):
        return False
