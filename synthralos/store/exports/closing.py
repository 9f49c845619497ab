"""What analyze writes: the closed trace of a finished job, which the exporters are owed from then on."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.spans import Span
from synthralos.store.queue.appended import BACKLOG, backlog_rows
from synthralos.store.queue.spans import span_line
from synthralos.store.queue.statements import lines
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, utcnow
from synthralos.store.tables import results


class Analysis:
    """Closes traces that no worker closed on its way."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        self._database = database
        self._destinations = destinations
        self._close = _close(database.dialect)
        self._to_backlog = BACKLOG.insert(database.dialect)

    def open_traces(self, job_ids: Sequence[str]) -> list[str]:
        """Those of `job_ids` that are finished and not yet analyzed."""
        query = sa.select(results.c.job_id).where(results.c.job_id.in_(job_ids), results.c.analyzed_at.is_(None))
        with self._database.snapshot() as connection:
            return list(connection.execute(query).scalars())

    def close(self, spans_by_job: dict[str, Span], not_exported: Collection[str] = ()) -> None:
        """Write each job's analyze span and mark it analyzed; jobs that somebody closed before stay as they are.

        Their traces are owed to the exporters, save those that are `not_exported`.
        """
        if not spans_by_job:
            return
        rows = [{"id": job_id, "spans": span_line([span])} for job_id, span in spans_by_job.items()]
        with self._database.transaction() as connection:
            closed = list(connection.execute(self._close, {"rows": encode_rows(rows)}).scalars())
            exported = [job_id for job_id in closed if job_id not in not_exported]
            owed = [row for job_id in exported for row in backlog_rows(job_id, self._destinations)]
            if owed:
                connection.execute(self._to_backlog, {"rows": encode_rows(owed)})


def _close(dialect: str) -> Any:
    """Mark jobs analyzed, and put the lines of `rows` behind their spans; jobs that are closed stay as they are."""
    rows = recordset(dialect, "rows", {"id": Id, "spans": sa.Text()})
    return (
        sa.update(results)
        .where(results.c.job_id == rows.c.id, results.c.analyzed_at.is_(None))
        .values(analyzed_at=utcnow(), spans=lines(results.c.spans, rows.c.spans))
        .returning(results.c.job_id)
    )
