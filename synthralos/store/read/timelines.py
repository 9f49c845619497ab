"""Reading what happened to jobs: attempts, spans and events."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.failures import Failure
from synthralos.store.queue.spans import read_spans
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import id_text
from synthralos.store.tables import all_attempts, all_jobs, event_logs

Row = dict[str, Any]


Timeline = dict[str, list[Row]]
"""`attempts`, `spans` and `events` of a job, each oldest first."""


class Timelines:
    """Reads rows as dicts by column (times as `datetime`, money as `Decimal`). The caller has checked the scope."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def timeline(self, job_id: str) -> Timeline:
        """The timeline of one job."""
        return self.timelines([job_id])[job_id]

    def timelines(self, job_ids: Sequence[str]) -> dict[str, Timeline]:
        """The timelines of several jobs, by id."""
        with self._database.snapshot() as connection:
            found = {
                "attempts": _rows(connection, all_attempts, all_attempts.c.attempt_no, job_ids),
                "spans": _spans(connection, job_ids),
                "events": _rows(connection, event_logs, event_logs.c.id, job_ids),
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


def _rows(
    connection: sa.Connection, table: sa.Table, order: sa.ColumnElement[Any], job_ids: Sequence[str]
) -> list[Row]:
    query = sa.select(table).where(table.c.job_id.in_(job_ids)).order_by(order)
    return [dict(row) for row in connection.execute(query).mappings()]


def _spans(connection: sa.Connection, job_ids: Sequence[str]) -> list[Row]:
    query = sa.select(id_text(all_jobs.c.id), all_jobs.c.spans).where(all_jobs.c.id.in_(job_ids))
    found = connection.execute(query)
    rows = [{"job_id": job_id, **span} for job_id, lines in found for span in read_spans(job_id, lines)]
    return sorted(rows, key=lambda row: row["started_at"])
