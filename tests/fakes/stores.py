"""The whole store on one database, and the short ways in which tests bring jobs to where they want them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Job, NewJob
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage
from synthralos.domain.writes import Settlement, Written
from synthralos.store.admin.processes import Processes
from synthralos.store.queue.claims import Claims
from synthralos.store.queue.operations import Operations
from synthralos.store.queue.settlements import Settlements
from synthralos.store.queue.submissions import Submissions
from synthralos.store.queue.sweeps import Sweeps
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import (
    all_attempts,
    all_jobs,
    export_backlog,
    export_destinations,
    jobs,
    model_cost_logs,
    open_jobs,
    processes,
    results,
)  # fmt: skip
from tests.fakes.jobs import new_job, start, submission


class Store:
    """All parts of the store. `max_losses` is 3."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        self.database = database
        self._destinations = destinations

    # Each is made when it is first asked for: a part builds all of its statements, which takes milliseconds.

    @cached_property
    def submissions(self) -> Submissions:
        return Submissions(self.database)

    @cached_property
    def claims(self) -> Claims:
        return Claims(self.database)

    @cached_property
    def settlements(self) -> Settlements:
        return Settlements(self.database, self._destinations)

    @cached_property
    def sweeps(self) -> Sweeps:
        return Sweeps(self.database, 3)

    @cached_property
    def operations(self) -> Operations:
        return Operations(self.database)

    @cached_property
    def processes(self) -> Processes:
        return Processes(self.database)

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.database)

    def submit(self, *jobs: NewJob) -> list[str]:
        """Accept the jobs (one that nobody cares about, if none is given); their ids."""
        accepted = jobs or (new_job(),)
        self.submissions.accept([submission(*accepted)])
        return [job.id for job in accepted]

    def worker(self) -> str:
        """A living worker."""
        return self.processes.register("worker")

    def claimed(self, *jobs: NewJob, worker: str | None = None) -> Job:
        """The first of the jobs, submitted and claimed at guard by a worker."""
        [first, *_] = self.claim(self.submit(*jobs), worker)
        return first

    def claim(self, job_ids: Sequence[str], worker: str | None = None, stage: Stage = Stage.GUARD) -> list[Job]:
        """Claim the jobs for a worker (a new one, if none is given)."""
        return self.claims.claim(stage, job_ids, worker or self.worker())

    def started(self, *jobs: NewJob, worker: str | None = None, reserved: Decimal | None = Decimal("0.001")) -> Job:
        """A claimed job whose first attempt has begun."""
        job = self.claimed(*jobs, worker=worker)
        assert self.settlements.start([start(job, reserved=reserved)]) == [Written.DONE]
        job.attempts += 1
        return job

    def settle(self, settlement: Settlement) -> bool:
        """Write one settlement; whether its claim held."""
        [written] = self.settlements.settle([settlement])
        return written is Written.DONE

    def lose(self, *workers: str) -> None:
        """Have the workers declared lost."""
        self.update(processes, processes.c.id.in_(workers), state="lost")

    def silence(self, worker: str, seconds: float) -> None:
        """Let the worker's last heartbeat be that long ago, in a process of another machine."""
        self.update(processes, processes.c.id == worker, heartbeat_at=utc_in(sa.literal(-seconds)), boot="elsewhere")

    def backdate(self, job_id: str, **seconds_ago: float) -> None:
        """Move times of a job into the past: `backdate(job_id, notified_at=60)`."""
        self.update_job(job_id, **{name: utc_in(sa.literal(-ago)) for name, ago in seconds_ago.items()})

    def update_job(self, job_id: str, **values: Any) -> None:
        """Change columns of the job behind the store's back."""
        tables = ((open_jobs, open_jobs.c.id), (results, results.c.job_id), (jobs, jobs.c.id))
        for table, key in tables:
            here = {name: value for name, value in values.items() if name in table.c}
            if here:
                self.update(table, key == job_id, **here)

    def job(self, job_id: str) -> dict[str, Any]:
        """All columns of the job."""
        [row] = self.rows(all_jobs, all_jobs.c.id == job_id)
        return row

    def state(self, job_id: str) -> str:
        """The job's state."""
        return str(self.job(job_id)["state"])

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """The job's attempts, oldest first."""
        return self.reader.timeline(job_id)["attempts"]

    def spans(self, job_id: str) -> list[dict[str, Any]]:
        """The job's spans, oldest first."""
        return self.reader.timeline(job_id)["spans"]

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """The job's events, oldest first."""
        return self.reader.timeline(job_id)["events"]

    def cost_logs(self, job_id: str) -> list[dict[str, Any]]:
        """The lines of the cost log for the job, by attempt."""
        rows = self.rows(model_cost_logs, model_cost_logs.c.job_id == job_id)
        return sorted(rows, key=lambda row: int(row["attempt_no"]))

    def view(self, job_id: str) -> dict[str, Any]:
        """The job as a reader of everything sees it."""
        return self.reader.jobs([job_id], EVERYTHING)[job_id]

    def now(self) -> datetime:
        """The database's clock."""
        return self.sweeps.clock()

    def rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
        """Rows of any table."""
        with self.database.snapshot() as connection:
            return [dict(row) for row in connection.execute(sa.select(table).where(*conditions)).mappings()]

    def owed(self, destination: str) -> list[str]:
        """The jobs whose traces the destination has not accepted yet, oldest first, due or not."""
        rows = self.rows(export_backlog, export_backlog.c.destination == destination)
        return sorted(row["job_id"] for row in rows)

    def let_exports_come_due(self) -> None:
        """Let the pauses and leases of the backlog be over, and the rests of destinations."""
        self.update(export_destinations, export_destinations.c.rest_until.is_not(None), rest_until=None)
        self.update(export_backlog, sa.true(), next_at=utc_in(sa.literal(-1)))

    def open_attempts(self) -> list[dict[str, Any]]:
        """Attempts that have not ended."""
        return self.rows(all_attempts, all_attempts.c.ended_at.is_(None))

    def update(self, table: sa.Table, condition: sa.ColumnElement[bool], **values: Any) -> None:
        """Change rows of any table behind the store's back."""
        with self.database.transaction() as connection:
            connection.execute(sa.update(table).where(condition).values(values))
