"""Reading what happened to jobs: attempts, spans and events."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.failures import Failure
from synthralos.store.queue.spans import read_spans
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import among, encode_ids
from synthralos.store.sql.types import id_text
from synthralos.store.tables import all_attempts, all_jobs, event_logs

Row = dict[str, Any]


Timeline = dict[str, list[Row]]
"""`attempts`, `spans` and `events` of a job, each oldest first."""


class Timelines:
    """Reads rows as dicts by column (times as `datetime`, money as `Decimal`). The caller has checked the scope."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Made once, and with one parameter however many jobs it is about: so the database knows it, too.
        self._attempts = _of(database.dialect, all_attempts, all_attempts.c.attempt_no)
        self._events = _of(database.dialect, event_logs, event_logs.c.id)
        self._spans = sa.select(id_text(all_jobs.c.id), all_jobs.c.spans).where(among(database.dialect, all_jobs.c.id))

    def timeline(self, job_id: str) -> Timeline:
        """The timeline of one job."""
        return self.timelines([job_id])[job_id]

    def timelines(self, job_ids: Sequence[str]) -> dict[str, Timeline]:
        """The timelines of several jobs, by id."""
        ids = {"ids": encode_ids(self._database.dialect, job_ids)}
        with self._database.snapshot() as connection:
            found = {
                "attempts": _rows(connection.execute(self._attempts, ids)),
                "spans": _span_rows(connection.execute(self._spans, ids).all()),
                "events": _rows(connection.execute(self._events, ids)),
            }
        timelines: dict[str, Timeline] = {job_id: {kind: [] for kind in found} for job_id in job_ids}
        for kind, rows in found.items():
            for row in rows:
                timelines[row["job_id"]][kind].append(row)
        return timelines

    def histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        """The ended attempts of each job since its last explicit retry, oldest first."""
        query = (
            sa.select(all_attempts)
            .join(all_jobs, all_jobs.c.id == all_attempts.c.job_id)
            .where(
                all_attempts.c.job_id.in_(job_ids),
                all_attempts.c.outcome != Outcome.OPEN,
                all_attempts.c.attempt_no > all_jobs.c.retry_base,
            )
            .order_by(all_attempts.c.job_id, all_attempts.c.attempt_no)
        )
        histories: dict[str, list[PastAttempt]] = {job_id: [] for job_id in job_ids}
        with self._database.snapshot() as connection:
            for row in connection.execute(query):
                failure = None if row.failure is None else Failure.from_json(row.failure)
                past = PastAttempt(
                    row.attempt_no, row.deployment, Outcome(row.outcome), failure, row.started_at, row.credential
                )
                histories[row.job_id].append(past)
        return histories


def _of(dialect: str, table: sa.Table, order: sa.ColumnElement[Any]) -> Any:
    """The rows of a table that are of the jobs in `ids`."""
    return sa.select(table).where(among(dialect, table.c.job_id)).order_by(order)


def _rows(found: sa.CursorResult[Any]) -> list[Row]:
    names = list(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def _span_rows(found: Iterable[Any]) -> list[Row]:
    rows = [{"job_id": job_id, **span} for job_id, lines in found for span in read_spans(job_id, lines)]
    return sorted(rows, key=lambda row: row["started_at"])
