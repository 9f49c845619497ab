"""What analyze writes: the closed trace of a finished job, and the exporters' backlog."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.spans import Span
from synthralos.store.queue.log_rows import insert_spans, span_row
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import RowFilter, batch, encode_rows, insert_ignoring
from synthralos.store.sql.types import Id, utcnow
from synthralos.store.tables import export_backlog, jobs


class Analysis:
    """Closes traces that no worker closed on its way, and keeps what exporters have not accepted yet."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        self._database = database
        self._destinations = destinations
        self._insert_spans = insert_spans(database.dialect)
        self._to_backlog = to_backlog(database.dialect)

    def open_traces(self, job_ids: Sequence[str]) -> list[str]:
        """Those of `job_ids` that are finished and not yet analyzed."""
        query = sa.select(jobs.c.id).where(
            jobs.c.id.in_(job_ids), jobs.c.finished_at.is_not(None), jobs.c.analyzed_at.is_(None)
        )
        with self._database.snapshot() as connection:
            return list(connection.execute(query).scalars())

    def close(self, spans_by_job: dict[str, Span]) -> None:
        """Write each job's analyze span and mark it analyzed; jobs that somebody closed before stay as they are."""
        if not spans_by_job:
            return
        statement = (
            sa.update(jobs)
            .where(jobs.c.id.in_(list(spans_by_job)), jobs.c.finished_at.is_not(None), jobs.c.analyzed_at.is_(None))
            .values(analyzed_at=utcnow())
            .returning(jobs.c.id)
        )
        with self._database.transaction() as connection:
            closed = list(connection.execute(statement).scalars())
            rows = [span_row(job_id, spans_by_job[job_id]) for job_id in closed]
            connection.execute(self._insert_spans, {"rows": encode_rows(rows)})
            owed = [row for job_id in closed for row in backlog_rows(job_id, self._destinations)]
            if owed:
                connection.execute(self._to_backlog, {"rows": encode_rows(owed)})

    def owed(self, destination: str, limit: int = 20) -> list[str]:
        """The jobs whose traces `destination` has not accepted yet, oldest first."""
        table = export_backlog.c
        query = sa.select(table.job_id).where(table.destination == destination).order_by(table.job_id).limit(limit)
        with self._database.snapshot() as connection:
            return list(connection.execute(query).scalars())

    def shipped(self, destination: str, job_ids: Sequence[str]) -> None:
        """Take what the destination has accepted off its backlog."""
        table = export_backlog
        statement = sa.delete(table).where(table.c.destination == destination, table.c.job_id.in_(job_ids))
        with self._database.transaction() as connection:
            connection.execute(statement)


def backlog_rows(job_id: str, destinations: Sequence[str]) -> list[dict[str, str]]:
    """What a finished job owes each destination, as `to_backlog` takes it."""
    return [{"destination": destination, "job_id": job_id} for destination in destinations]


def to_backlog(dialect: str, parameter: str = "rows", chosen: RowFilter | None = None) -> Any:
    """The statement that puts jobs on the backlog; its parameter holds `backlog_rows`."""
    rows, columns, where = batch(dialect, parameter, {"destination": sa.Text(), "job_id": Id}, chosen)
    select = sa.select(rows.c.destination, rows.c.job_id, utcnow()).where(*where)
    return insert_ignoring(dialect, export_backlog, [*columns, "since"], select)
