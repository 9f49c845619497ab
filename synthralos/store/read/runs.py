"""Reading the jobs of an agent run."""

import hashlib
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.repairs import awaits_repair
from synthralos.domain.runs import MOST_JOBS, STEP, Run, RunJob, run_of
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.read.jobs import spending_columns
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text
from synthralos.store.tables import all_jobs

job = all_jobs.c

_COLUMNS = (
    id_text(job.id), job.state, job.metadata, sa.type_coerce(job.request, sa.Text()).label("request"), job.model,
    job.failure, job.attempts, job.stage, job.created_at, job.finished_at, job.run_at, *spending_columns(),
)  # fmt: skip


class Runs:
    """Reads runs within a scope."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, run_id: str, scope: Scope, most: int = MOST_JOBS) -> Run | None:
        """The run; None where no job of the scope has that `run_id`."""
        query = sa.select(*_COLUMNS).where(job.run_id == run_id, *within(scope, all_jobs))
        query = query.order_by(job.id.desc()).limit(most + 1)
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return None
        return run_of(run_id, [_job(row) for row in rows[:most][::-1]], more=len(rows) > most)


def _job(row: Any) -> RunJob:
    step = (row.metadata or {}).get(STEP)
    asked = f"{row.model}\n{row.request}".encode()
    return RunJob(
        row.id,
        None if step is None else str(step),
        hashlib.blake2b(asked, digest_size=8).hexdigest(),
        State(row.state),
        row.created_at,
        row.finished_at,
        row.run_at,
        row.failure,
        row.cost or Decimal(0),
        not row.cost_unknown,
        int(row.maybe_billed or 0),
        row.attempts,
        awaits_repair(row.state, row.stage),
    )
