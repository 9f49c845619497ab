"""Housekeeping of what belongs to nobody alone: it is deleted when it is old and nothing needs it any more.

A table says what that is, kind by kind. Small transactions, the oldest first, safe to repeat.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.bulk import BulkState
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.firings import Outcome
from synthralos.domain.ids import id_at
from synthralos.domain.incidents import IncidentState
from synthralos.domain.repairs import OPEN_REPAIRS
from synthralos.domain.retention import Kind, Retention
from synthralos.domain.states import State
from synthralos.domain.waits import WaitState
from synthralos.store.admin.audit import By
from synthralos.store.admin.run_caps import RunCapsStore
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import one_of, utcnow, word
from synthralos.store.tables import (
    audit_log,
    backfills,
    breaker_changes,
    breakers,
    budget_uses,
    budgets,
    bulk_operations,
    cost_adjustments,
    cost_periods,
    cost_sums,
    deliveries,
    firings,
    idempotency_keys,
    imported_jobs,
    incidents,
    jobs,
    open_jobs,
    processes,
    quotas,
    repairs,
    run_caps,
    run_forks,
    stream_chunks,
    waits,
)

_RUNS_AT_ONCE = 20
"""Runs whose caps one step forgets: each is a change of the configuration."""


class Old(NamedTuple):
    """Rows of `table` that are old by `by`, a time or an id, and that fulfil `conditions`. `key` tells them apart."""

    table: sa.Table
    by: sa.Column[Any]
    conditions: tuple[sa.ColumnElement[bool], ...] = ()
    keyless: bool = False

    def before(self, moment: datetime) -> list[sa.ColumnElement[bool]]:
        """The conditions on what is older."""
        bound = moment if isinstance(self.by.type, sa.types.TypeDecorator) else id_at(moment)
        return [self.by < bound, *self.conditions]

    def delete(self, moment: datetime, most: int) -> sa.Delete:
        """The statement that deletes about `most` of them, the oldest first."""
        if self.keyless:  # all rows of a time go together
            first = sa.select(self.by).where(*self.before(moment)).order_by(self.by).limit(1).scalar_subquery()
            return sa.delete(self.table).where(self.by == first, *self.conditions)
        key = tuple(self.table.primary_key.columns)
        old = sa.select(*key).where(*self.before(moment)).order_by(self.by).limit(most)
        return sa.delete(self.table).where((sa.tuple_(*key) if len(key) > 1 else key[0]).in_(old))


_HOLDS_JOB = sa.exists().where(open_jobs.c.state == word(State.ACTIVE), open_jobs.c.worker_id == processes.c.id)
_RUN_IS_THERE = sa.exists().where(jobs.c.run_id == run_forks.c.run_id, jobs.c.organization == run_forks.c.organization)
_FIRED_AND_ENDED = sa.or_(firings.c.ended.is_not(None), one_of(firings.c.outcome, (Outcome.SKIPPED, Outcome.MISSED)))
_ENDS = budget_uses.c.budget_id.in_(sa.select(budgets.c.id).where(budgets.c.period != word("total")))
_OPERATES = one_of(bulk_operations.c.state, (BulkState.RUNNING, BulkState.PAUSED))

OLD: Mapping[Kind, tuple[Old, ...]] = {
    Kind.IDEMPOTENCY_KEYS: (Old(idempotency_keys, idempotency_keys.c.created_at),),
    Kind.PROCESSES: (
        Old(
            processes,
            processes.c.heartbeat_at,
            (processes.c.state.in_([sa.literal_column("'stopped'"), sa.literal_column("'lost'")]), ~_HOLDS_JOB),
        ),
    ),
    Kind.FIRINGS: (
        Old(firings, firings.c.decided_at, (_FIRED_AND_ENDED,)),
        Old(backfills, backfills.c.id, (backfills.c.done_at.is_not(None),)),
    ),
    Kind.AUDIT: (
        Old(audit_log, audit_log.c.id),
        Old(bulk_operations, bulk_operations.c.id, (~_OPERATES,)),
    ),
    Kind.WAITS: (Old(waits, waits.c.id, (waits.c.state != word(WaitState.OPEN), waits.c.job_id.is_(None))),),
    Kind.IMPORTS: (Old(imported_jobs, imported_jobs.c.imported_at),),
    Kind.BREAKERS: (
        Old(breaker_changes, breaker_changes.c.id),
        Old(breakers, breakers.c.since, (breakers.c.state == word("closed"),)),
        Old(quotas, quotas.c.changed_at),
    ),
    Kind.DELIVERIES: (Old(deliveries, deliveries.c.id, (deliveries.c.state != word(DeliveryState.PENDING),)),),
    Kind.INCIDENTS: (
        Old(incidents, incidents.c.id, (incidents.c.state == word(IncidentState.CLOSED),)),
        Old(repairs, repairs.c.id, (~one_of(repairs.c.state, OPEN_REPAIRS),)),
    ),
    Kind.RUNS: (Old(run_forks, run_forks.c.created_at, (~_RUN_IS_THERE,)),),
    Kind.ACCOUNTS: (
        Old(cost_sums, cost_sums.c.since, (cost_sums.c.span == word("hour"),), keyless=True),
        Old(cost_sums, cost_sums.c.since, (cost_sums.c.span == word("day"),), keyless=True),
        Old(cost_periods, cost_periods.c.since, (cost_periods.c.summed,)),
        Old(cost_adjustments, cost_adjustments.c.at),
        Old(budget_uses, budget_uses.c.since, (budget_uses.c.held_picousd == 0, _ENDS)),
    ),
}
"""What is forgotten, kind by kind. The books of an organization go by its own times; sums by the longest of all."""


class Housekeeping:
    """Each step is one short transaction a table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._caps = RunCapsStore(database)

    def step(self, kind: Kind, times: Retention, most: int) -> int:
        """Forget about `most` rows of each table of a kind that are beyond its time; how many that were."""
        moment = self._moment(kind, times)
        count = sum(self._delete(old.delete(moment, most)) for old in OLD[kind])
        return count + self._forget_caps(moment) if kind is Kind.RUNS else count

    def due(self, kind: Kind, times: Retention) -> int:
        """How many rows would be removed now."""
        moment = self._moment(kind, times)
        counts = [sa.select(sa.func.count()).select_from(old.table).where(*old.before(moment)) for old in OLD[kind]]
        with self._database.report() as connection:
            found = sum(connection.execute(query).scalar_one() for query in counts)
            if kind is Kind.RUNS:
                found += len(connection.execute(_capped(moment)).all())
        return found

    def prune_stream_chunks(self, jobs_before: datetime, most: int = 5000) -> int:
        """Forget what was streamed of jobs that were handed in before that time: the rest is in their results."""
        return self._delete(Old(stream_chunks, stream_chunks.c.job_id).delete(jobs_before, most))

    def _moment(self, kind: Kind, times: Retention) -> datetime:
        with self._database.snapshot() as connection:
            now: datetime = connection.execute(sa.select(utcnow())).scalar_one()
        return now - times.longest(kind)

    def _forget_caps(self, moment: datetime) -> int:
        with self._database.snapshot() as connection:
            found = connection.execute(_capped(moment).limit(_RUNS_AT_ONCE)).all()
        for row in found:
            self._caps.remove(row.run_id, row.organization, By("system", "none of the run's jobs is kept any more"))
        return len(found)

    def _delete(self, statement: sa.Delete) -> int:
        with self._database.transaction() as connection:
            return connection.execute(statement).rowcount


def _capped(moment: datetime) -> "sa.Select[Any]":
    there = sa.exists().where(jobs.c.run_id == run_caps.c.run_id, jobs.c.organization == run_caps.c.organization)
    query = sa.select(run_caps.c.organization, run_caps.c.run_id).where(run_caps.c.changed_at < moment, ~there)
    return query.order_by(run_caps.c.changed_at)
