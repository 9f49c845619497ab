"""What a worker writes about its jobs: the start of an attempt, and everything that follows from its end.

Both are fenced by the claim and come in batches. The ledger is not fenced: what was paid for is booked even
if the claim was lost meanwhile. PostgreSQL takes each batch as one statement (`whole`), SQLite as several.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Job
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.writes import Settlement, Start, StartResult, Written
from synthralos.store.exports.backlog import backlog_rows, to_backlog
from synthralos.store.queue.job_rows import (
    SETTLE_COLUMNS,
    START_COLUMNS,
    settle_jobs,
    settle_row,
    start_jobs,
    start_row,
)
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.log_rows import event_row, insert_events, insert_spans, span_row
from synthralos.store.queue.routing_plans import Plans
from synthralos.store.queue.single_statement import SingleStatements
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import id_text
from synthralos.store.tables import jobs


class Settlements:
    """Writes starts and settlements, each batch in one transaction. Safe to repeat as they are."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        """`destinations`: the exporters that finished jobs are put on the backlog of."""
        self._database = database
        self._destinations = destinations
        self._ledger = Ledger(database.dialect)
        self._plans = Plans(database.dialect)
        self._whole = SingleStatements() if database.dialect == "postgresql" else None
        self._start = _returning_claims(start_jobs(recordset(database.dialect, "rows", START_COLUMNS)))
        self._settle = _returning_claims(settle_jobs(recordset(database.dialect, "rows", SETTLE_COLUMNS)))
        self._insert_spans = insert_spans(database.dialect)
        self._insert_events = insert_events(database.dialect)
        self._to_backlog = to_backlog(database.dialect)

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        """Book the attempts that still may begin; do not call where the claim was lost."""
        self._store_plans(start.plan for start in starts)
        if self._whole is not None:
            with self._database.one_statement() as connection:
                return [*_written(self._whole.start(connection, starts))]
        with self._database.transaction() as connection:
            won = _won(connection, self._start, map(start_row, starts))
            begun = [s for s in starts if _claimed(s.job) in won]
            if begun:
                self._ledger.open(connection, begun)
        return [*_written(_claimed(s.job) in won for s in starts)]

    def settle(self, settlements: Sequence[Settlement]) -> list[Written]:
        """Write what became of the jobs, or correct the ledger alone where the claim was lost."""
        self._store_plans(settlement.plan for settlement in settlements)
        if self._whole is not None:
            with self._database.one_statement() as connection:
                return _written(self._whole.settle(connection, settlements, self._destinations))
        with self._database.transaction() as connection:
            won = _won(connection, self._settle, map(settle_row, settlements))
            ended = [s for s in settlements if s.attempt is not None]
            if ended:
                self._ledger.close(connection, ended)
            written = [s for s in settlements if _claimed(s.job) in won]
            self._write_spans(connection, written)
            self._write_events(connection, written)
            self._put_on_backlog(connection, written)
        return _written(_claimed(s.job) in won for s in settlements)

    def _store_plans(self, plans: Iterable[RoutingPlan | None]) -> None:
        """Plans first: a plan without a job does no harm, and seldom is there a new one."""
        new = self._plans.unknown(plans)
        if new:
            with self._database.one_statement() as connection:
                self._plans.store(connection, new)
            self._plans.confirm(new)

    def _write_spans(self, connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
        rows = [span_row(s.job.id, span) for s in settlements for span in s.spans]
        if rows:
            connection.execute(self._insert_spans, {"rows": encode_rows(rows)})

    def _write_events(self, connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
        rows = [event_row(s.job.id, s.job.tenant.organization, event) for s in settlements for event in s.events]
        if rows:
            connection.execute(self._insert_events, {"rows": encode_rows(rows)})

    def _put_on_backlog(self, connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
        rows = [owed for s in settlements if s.analyzed for owed in backlog_rows(s.job.id, self._destinations)]
        if rows:
            connection.execute(self._to_backlog, {"rows": encode_rows(rows)})


def _returning_claims(statement: sa.Update) -> Any:
    return statement.returning(id_text(jobs.c.id), jobs.c.claim_no)


def _won(connection: sa.Connection, statement: Any, rows: Any) -> set[tuple[str, int]]:
    """The claims that still held. Not only the jobs: a batch may hold an old claim's write beside the new one's."""
    return {(row.id, row.claim_no) for row in connection.execute(statement, {"rows": encode_rows(rows)})}


def _written(won: Iterable[bool]) -> list[Written]:
    return [Written.DONE if held else Written.CLAIM_LOST for held in won]


def _claimed(job: Job) -> tuple[str, int]:
    return job.id, job.claim.claim_no
