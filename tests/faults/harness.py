"""One installation of SynthralOS for one test of faults: its places, its processes, its provider, its promises.

A `Site` has a database, a broker namespace and a provider of its own, starts real processes on them, hands jobs in,
and at the end holds the database and the provider's bill against the promises.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from migrations.runner import upgrade
from synthralos.broker.brokers import build_broker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.protocol import Carrier
from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Topic
from synthralos.control.database_rings import DatabaseCarrier
from synthralos.control.direct_rings import DirectRings
from synthralos.domain.jobs import NewJob
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.processes import Processes
from synthralos.store.queue.submissions import Accepted, Submissions
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError, is_transient
from synthralos.store.tables import all_attempts, all_jobs, open_jobs
from tests.fakes.jobs import new_job, submission
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.ports import free_port
from tests.faults.harness_processes import THIS, Api, Embedded, Exporter, Process, Release, Scheduler, Worker
from tests.faults.harness_promises import broken_promises, record_history

P = TypeVar("P", bound=Process)

NAMESPACE = "faults"
"""Of the broker's queues: the same for all tests, because quorum queues are dear to make. A message that an earlier
test left behind is one about jobs that do not exist."""

LOOK_AGAIN = 0.05
"""Seconds between two looks of `eventually` where no notification came."""

_CATALOG = """
[providers.{provider}]
adapter = "openai"
base_url = "{base_url}"

[[deployment]]
id = "{provider}/small@us"
upstream_model = "{provider}"
context_window = 100000
max_output = 4000
price = {{ input = "{input}", output = "{output}", as_of = "2026-01-01" }}
tier = "economy"
max_in_flight = 5000
"""
_RATES = {"fake": ("1.25", "10"), "other": ("2.5", "20")}
PRICES = {f"{provider}/small@us": rate for provider, rate in _RATES.items()}
"""(input, output) in USD per million tokens, by deployment."""

_QUICK = {
    "worker_processes": 1,
    "worker_threads": 4,
    "heartbeat_interval": 0.5,
    "worker_lost_after": 20,
    "sweep_interval": 0.1,
    "ring_again_after": 1,
    "leader_term": 2,
    "drain_timeout": 5,
}


class Site:
    """A test's own installation. `settings` are environment variables in lower case, on top of quick intervals."""

    def __init__(
        self, database_url: str, broker_url: str, folder: Path, provider: FakeOpenAIProcess, **settings: Any
    ) -> None:
        self.folder, self.provider = folder, provider
        catalog = folder / "catalog.toml"
        catalog.write_text(
            "".join(
                _CATALOG.format(provider=name, base_url=provider.base_url, input=price[0], output=price[1])
                for name, price in _RATES.items()
            )
        )
        self.settings = {
            **_QUICK,
            "database_url": database_url,
            "broker_url": broker_url,
            "broker_namespace": NAMESPACE,
            "catalog_file": str(catalog),
            **settings,
        }
        self.database = Database(database_url)
        self._bus = build_bus(self.database)
        self._submissions = Submissions(self.database)
        self._changed = threading.Condition()
        self.accepted: list[str] = []
        self._processes: list[Process] = []
        self.broker = build_broker(broker_url, NAMESPACE, [])
        self._direct = DirectRings(lambda: Processes(self.database).living("worker"), fresh=5.0)
        alone = broker_url.startswith("postgresql")
        carrier: Carrier = DatabaseCarrier(self.database, self._direct) if alone else self.broker
        self.doorbell = BrokerDoorbell(carrier, NAMESPACE)

    def open(self) -> None:
        """Make the schema, and begin to record what happens to jobs."""
        upgrade(self.database)
        record_history(self.database)
        self._bus.subscribe(Topic.CHANGED, self._wake)

    def close(self) -> None:
        """Kill every process, and give the connections back."""
        for process in self._processes:
            process.close()
        self.doorbell.close(1.0)
        self._direct.close()
        self.broker.close()
        self._bus.close()
        self.database.close()

    def worker(self, release: Release = THIS, **settings: Any) -> Worker:
        """Start a worker; `settings` are its own."""
        return self.start(Worker(self, self.environment(settings), release))

    def scheduler(self, release: Release = THIS, **settings: Any) -> Scheduler:
        """Start a scheduler."""
        return self.start(Scheduler(self, self.environment(settings), release))

    def exporter(self, **settings: Any) -> Exporter:
        """Start an exporter."""
        return self.start(Exporter(self, self.environment(settings), THIS))

    def api(self, release: Release = THIS, **settings: Any) -> Api:
        """Start an API process on a free port."""
        return self.start(Api(self, self.environment({"port": free_port(), **settings}), release))

    def embedded(self, **settings: Any) -> Embedded:
        """Start everything in one process."""
        return self.start(Embedded(self, self.environment(settings)))

    def submit(self, count: int = 1, *, ring: bool = True, **job: Any) -> list[str]:
        """Accept `count` jobs as the API does, and ring for them; their ids."""
        made = [new_job(**{"model": "fake/small", **job}) for _ in range(count)]
        return self.accept(made, ring=ring)

    def submit_suspects(self, count: int = 1) -> list[str]:
        """Accept jobs that look as if nobody had come for them, so that they are claimed before they are guarded."""
        job_ids = self.submit(count, ring=False)
        with self.database.transaction() as connection:
            connection.execute(sa.update(open_jobs).where(open_jobs.c.id.in_(job_ids)).values(rings=1))
        self.ring(job_ids)
        return job_ids

    def accept(self, made: Sequence[NewJob], *, ring: bool = True) -> list[str]:
        """Accept jobs that were made elsewhere."""
        handed_in = submission(*made)
        [answer] = self.eventually(lambda: self._submissions.accept([handed_in]), "the jobs are accepted")
        assert isinstance(answer, Accepted)
        self.accepted += answer.job_ids
        if ring:
            self.ring(answer.job_ids, made[0].lane)
        return answer.job_ids

    def ring(self, job_ids: Sequence[str], lane: Lane = Lane.BULK, stage: Stage = Stage.GUARD) -> None:
        """Ring for jobs at a stage."""
        self.doorbell.ring(stage, lane, job_ids)

    def eventually(self, condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        """Wait until `condition` gives something true, and return that. Woken by what processes say on the bus."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = condition()
            except StoreError as error:
                if not is_transient(error):  # the database may be away: that is what the test is about
                    raise
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f"after {timeout} s still not: {what}\n{self.describe()}"
            with self._changed:
                self._changed.wait(LOOK_AGAIN)

    def query(self, statement: Any, parameters: dict[str, Any] | None = None) -> list[Any]:
        """The rows of a statement."""
        with self.database.snapshot() as connection:
            return list(connection.execute(statement, parameters or {}))

    def states(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return {r[0]: r[1] for r in self.query(sa.select(all_jobs.c.state, sa.func.count()).group_by(all_jobs.c.state))}

    def job(self, job_id: str) -> Any:
        """A job's row."""
        return self.query(sa.select(all_jobs).where(all_jobs.c.id == job_id))[0]

    def attempts(self, job_id: str) -> list[Any]:
        """A job's attempts, in order."""
        return self.query(
            sa.select(all_attempts).where(all_attempts.c.job_id == job_id).order_by(all_attempts.c.attempt_no)
        )

    def wait_until_done(self, timeout: float = 90.0) -> None:
        """Wait until every accepted job is terminal and analyzed, and no attempt is open."""
        unfinished = sa.select(sa.func.count()).where(
            sa.or_(all_jobs.c.finished_at.is_(None), all_jobs.c.analyzed_at.is_(None))
        )
        open_attempts = sa.select(sa.func.count()).where(all_attempts.c.ended_at.is_(None))
        both = sa.select(unfinished.scalar_subquery() + open_attempts.scalar_subquery())
        self.eventually(lambda: self.query(both)[0][0] == 0, "every job is done", timeout)

    def check_promises(self, timeout: float = 90.0) -> None:
        """Wait for the end of all jobs, then hold the database and the bill against the promises."""
        self.wait_until_done(timeout)
        broken = broken_promises(self.database, self.accepted, self.provider.bill(), PRICES)
        assert not broken, "\n".join(broken[:20]) + "\n" + self.describe()

    def describe(self) -> str:
        """What a failed test shows: states, and the ends of the logs."""
        try:
            states = self.states()
        except StoreError as error:
            states = {type(error).__name__: 0}
        logs = "\n".join(f"--- {p.log.name}\n{p.tail()}" for p in self._processes)
        return f"jobs: {states}\n{logs}"

    def environment(self, own: dict[str, Any]) -> dict[str, str]:
        """The settings as a process gets them, with its `own` on top."""
        return {name.upper(): str(value) for name, value in {**self.settings, **own}.items()}

    def start(self, process: P) -> P:
        """Start a process, and have it killed in the end."""
        self._processes.append(process)
        process.start()
        return process

    def _wake(self, _: Sequence[str] | None) -> None:
        with self._changed:
            self._changed.notify_all()


@contextmanager
def site(database_url: str, broker_url: str, folder: Path, **settings: Any) -> Iterator[Site]:
    """An installation that is gone afterwards."""
    with fake_openai(folder / "bill.jsonl") as provider:
        made = Site(database_url, broker_url, folder, provider, **settings)
        try:
            made.open()
            yield made
        finally:
            made.close()
