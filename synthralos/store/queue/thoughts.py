"""Thoughts: what an agent notes about a job of its own, among the job's events."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from synthralos.domain.events import Event, Thought
from synthralos.domain.scope import Scope
from synthralos.store.exports.again import owe_again
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.idempotency import take_key
from synthralos.store.queue.submissions import Idempotency, KeyReused
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text, word
from synthralos.store.tables import event_logs, jobs

MOST_THOUGHTS = 1_000
"""Of one job: an agent that goes round notes no more."""

MOST_OF_RUN = 500
"""The newest thoughts that are read of a run."""


class Noted(NamedTuple):
    """A thought as it stands on record."""

    id: str
    job_id: str
    actor: str
    text: str
    at: datetime


class TooMany(NamedTuple):
    """The job has `MOST_THOUGHTS`."""


class Thoughts:
    """Blocks; raises what the store raises. Within the caller's scope, always."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = EVENTS.insert(database.dialect)

    def add(
        self, job_id: str, scope: Scope, actor: str, text: str, used: Idempotency | None = None
    ) -> Noted | KeyReused | TooMany | None:
        """Note a thought, or give the one that the key noted; None: there is no such job within the scope."""
        owner = sa.select(jobs.c.organization, jobs.c.workspace).where(jobs.c.id == job_id, *within(scope, jobs))
        event = Event.of(Thought(text=text), actor)
        with self._database.transaction() as connection:
            job = connection.execute(owner).one_or_none()
            if job is None:
                return None
            holder: str | KeyReused = event.id
            if used is not None:
                key = (job.organization, job.workspace, used, event.id)
                holder = take_key(connection, self._database.dialect, *key)
            if isinstance(holder, KeyReused):
                return holder
            if holder == event.id:
                if self._count(connection, job_id) >= MOST_THOUGHTS:
                    return TooMany()
                rows = [event_row(job_id, job.organization, event)]
                connection.execute(self._insert, {"rows": encode_rows(rows)})
                owe_again(connection, [job_id])
            return _noted(connection.execute(sa.select(*_COLUMNS).where(event_logs.c.id == holder)).one())

    def of_run(self, run_id: str, scope: Scope) -> list[Noted]:
        """The newest `MOST_OF_RUN` thoughts of the run's jobs, oldest first."""
        mine = jobs.join(event_logs, event_logs.c.job_id == jobs.c.id)
        query = sa.select(*_COLUMNS).select_from(mine).where(jobs.c.run_id == run_id, _IS_THOUGHT, *within(scope, jobs))
        query = query.order_by(event_logs.c.id.desc()).limit(MOST_OF_RUN)
        with self._database.snapshot() as connection:
            return [_noted(row) for row in connection.execute(query)][::-1]

    @staticmethod
    def _count(connection: sa.Connection, job_id: str) -> int:
        query = sa.select(event_logs.c.id).where(event_logs.c.job_id == job_id, _IS_THOUGHT).limit(MOST_THOUGHTS)
        return len(connection.execute(query).all())


_IS_THOUGHT = event_logs.c.kind == word(Thought.kind)
_COLUMNS = (
    id_text(event_logs.c.id), id_text(event_logs.c.job_id), event_logs.c.actor, event_logs.c.data, event_logs.c.at,
)  # fmt: skip


def _noted(row: sa.Row[tuple[object, ...]]) -> Noted:
    return Noted(row.id, row.job_id, row.actor, row.data["text"], row.at)
