"""Housekeeping: what is deleted because nobody can have a use for it any more. Small transactions, safe to repeat."""

from datetime import datetime

import sqlalchemy as sa

from synthralos.domain.delivering import DeliveryState
from synthralos.domain.firings import Outcome
from synthralos.domain.ids import id_at
from synthralos.domain.repairs import RepairState
from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, one_of, word
from synthralos.store.tables import (
    deliveries,
    firings,
    happenings,
    idempotency_keys,
    open_jobs,
    processes,
    prompt_similarity_logs,
    repairs,
    stream_chunks,
)


class Housekeeping:
    """Each call deletes at most `limit` rows and says how many it deleted: fewer than `limit`, and it is done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prune_idempotency_keys(self, older_than: float, limit: int = 5000) -> int:
        """Forget idempotency keys that were first used more than `older_than` seconds ago."""
        key = tuple(idempotency_keys.primary_key.columns)
        old = (
            sa.select(*key)
            .where(idempotency_keys.c.created_at < asked_at(sa.literal(-older_than)))
            .order_by(idempotency_keys.c.created_at)
            .limit(limit)
        )
        return self._delete(sa.delete(idempotency_keys).where(sa.tuple_(*key).in_(old)))

    def prune_processes(self, older_than: float, limit: int = 1000) -> int:
        """Forget processes that ended, or were last heard of, more than `older_than` seconds ago and hold nothing."""
        holds_job = sa.exists().where(open_jobs.c.state == word(State.ACTIVE), open_jobs.c.worker_id == processes.c.id)
        old = (
            sa.select(processes.c.id)
            .where(
                processes.c.state.in_(["stopped", "lost"]),
                processes.c.heartbeat_at < asked_at(sa.literal(-older_than)),
                ~holds_job,
            )
            .limit(limit)
        )
        return self._delete(sa.delete(processes).where(processes.c.id.in_(old)))

    def prune_similarity_logs(self, older_than: float, limit: int = 5000) -> int:
        """Forget prompts that were compared more than `older_than` seconds ago."""
        logs = prompt_similarity_logs.c
        old = sa.select(logs.job_id).where(logs.at < asked_at(sa.literal(-older_than))).order_by(logs.at).limit(limit)
        return self._delete(sa.delete(prompt_similarity_logs).where(logs.job_id.in_(old)))

    def prune_stream_chunks(self, jobs_before: datetime, limit: int = 5000) -> int:
        """Forget what was streamed of jobs that were handed in before that time: the rest is in their results."""
        key = tuple(stream_chunks.primary_key.columns)
        old = sa.select(*key).where(stream_chunks.c.job_id < id_at(jobs_before)).order_by(*key).limit(limit)
        return self._delete(sa.delete(stream_chunks).where(sa.tuple_(*key).in_(old)))

    def prune_happenings(self, before: datetime, limit: int = 5000) -> int:
        """Forget what happened beside jobs before that time."""
        old = sa.select(happenings.c.id).where(happenings.c.id < id_at(before)).order_by(happenings.c.id).limit(limit)
        return self._delete(sa.delete(happenings).where(happenings.c.id.in_(old)))

    def prune_deliveries(self, before: datetime, limit: int = 5000) -> int:
        """Forget events that were put on their way before that time, and are on it no more."""
        over = deliveries.c.state != word(DeliveryState.PENDING)
        old = sa.select(deliveries.c.id).where(deliveries.c.id < id_at(before), over).order_by(deliveries.c.id)
        return self._delete(sa.delete(deliveries).where(deliveries.c.id.in_(old.limit(limit))))

    def prune_firings(self, older_than: float, limit: int = 5000) -> int:
        """Forget what became of ticks more than `older_than` seconds ago, where nothing of it waits or runs."""
        key = tuple(firings.primary_key.columns)
        over = sa.or_(firings.c.ended.is_not(None), one_of(firings.c.outcome, (Outcome.SKIPPED, Outcome.MISSED)))
        old = sa.select(*key).where(firings.c.decided_at < asked_at(sa.literal(-older_than)), over)
        old = old.order_by(firings.c.decided_at).limit(limit)
        return self._delete(sa.delete(firings).where(sa.tuple_(*key).in_(old)))

    def prune_repairs(self, asked_before: datetime, limit: int = 5000) -> int:
        """Forget repairs that were asked for before that time, and are over."""
        over = sa.not_(one_of(repairs.c.state, (RepairState.ASKED, RepairState.STARTED)))
        old = sa.select(repairs.c.id).where(repairs.c.id < id_at(asked_before), over).order_by(repairs.c.id)
        return self._delete(sa.delete(repairs).where(repairs.c.id.in_(old.limit(limit))))

    def _delete(self, statement: sa.Delete) -> int:
        with self._database.transaction() as connection:
            return connection.execute(statement).rowcount
