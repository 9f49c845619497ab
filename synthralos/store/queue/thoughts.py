"""Thoughts: what an agent notes about a job of its own, among the job's events."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from synthralos.domain.events import Event, Thought
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By
from synthralos.store.exports.again import owe_again
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.idempotency import make_once
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

    def add(self, job_id: str, scope: Scope, by: By, text: str) -> Noted | TooMany | None:
        """Note a thought; None: there is no such job within the scope.

        Raises `MadeBeforeError` or `KeyReusedError` where `by.once` was used before.
        """
        owner = sa.select(jobs.c.organization).where(jobs.c.id == job_id, *within(scope, jobs))
        event = Event.of(Thought(text=text), by.actor)
        with self._database.transaction() as connection:
            job = connection.execute(owner).one_or_none()
            if job is None:
                return None
            if self._count(connection, job_id) >= MOST_THOUGHTS:
                return TooMany()
            make_once(connection, by.once, event.id)
            connection.execute(self._insert, {"rows": encode_rows([event_row(job_id, job.organization, event)])})
            owe_again(connection, [job_id])
            return _noted(connection.execute(sa.select(*_COLUMNS).where(event_logs.c.id == event.id)).one())

    def get(self, thought_id: str, scope: Scope) -> Noted | None:
        """One thought about a job within the scope."""
        mine = event_logs.join(jobs, jobs.c.id == event_logs.c.job_id)
        query = sa.select(*_COLUMNS).select_from(mine).where(event_logs.c.id == thought_id, *within(scope, jobs))
        with self._database.snapshot() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _noted(row)

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
