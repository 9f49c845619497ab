"""What analyze writes: the closed trace of a finished job, and the exporters' backlog."""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.spans import Span
from synthralos.store.queue.appended import BACKLOG, backlog_rows
from synthralos.store.queue.spans import span_line
from synthralos.store.queue.statements import lines
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, asked_at, utc_in, utcnow
from synthralos.store.tables import export_backlog, results

LEASE = 300.0
"""Seconds that a shipment may take: longer than any destination's own time-outs."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds until a refused trace is shipped again: at first, and at most."""


class Owed(NamedTuple):
    """A trace that a destination is owed, and how many shipments it was in, with the present one."""

    job_id: str
    tries: int


class Analysis:
    """Closes traces that no worker closed on its way, and keeps what exporters have not accepted yet."""

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

    def claim(self, destination: str, limit: int = 20) -> list[Owed]:
        """Traces that the destination has not accepted yet, oldest first, for this caller alone.

        Nobody else gets them for `LEASE` seconds; a process that dies with them gives them back so.
        """
        table = export_backlog
        mine = table.c.destination == destination
        due = sa.or_(table.c.next_at.is_(None), table.c.next_at <= asked_at(sa.literal(0)))
        first = sa.select(table.c.job_id).where(mine, due).order_by(table.c.job_id).limit(limit)
        taken = first.with_for_update(skip_locked=True)
        statement = sa.update(table).where(mine, table.c.job_id.in_(taken))
        statement = statement.values(tries=table.c.tries + 1, next_at=utc_in(sa.literal(LEASE)))
        with self._database.transaction() as connection:
            rows = connection.execute(statement.returning(table.c.job_id, table.c.tries)).all()
        return sorted(Owed(row.job_id, row.tries) for row in rows)

    def shipped(self, destination: str, job_ids: Sequence[str]) -> None:
        """Take what the destination has accepted off its backlog."""
        table = export_backlog
        statement = sa.delete(table).where(table.c.destination == destination, table.c.job_id.in_(job_ids))
        with self._database.transaction() as connection:
            connection.execute(statement)

    def put_off(self, destination: str, refused: Sequence[Owed]) -> None:
        """What was refused comes again after a pause, twice as long each time: those behind it go first."""
        table = export_backlog
        with self._database.transaction() as connection:
            for tries, group in groupby(sorted(refused, key=_tries), key=_tries):
                ids = [owed.job_id for owed in group]
                which = sa.update(table).where(table.c.destination == destination, table.c.job_id.in_(ids))
                connection.execute(which.values(next_at=utc_in(sa.literal(pause_after(tries)))))


def pause_after(tries: int) -> float:
    """Seconds until a trace that was refused so often is shipped again."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries - 1, 20)))


def _tries(owed: Owed) -> int:
    return owed.tries


def _close(dialect: str) -> Any:
    """Mark jobs analyzed, and put the lines of `rows` behind their spans; jobs that are closed stay as they are."""
    rows = recordset(dialect, "rows", {"id": Id, "spans": sa.Text()})
    return (
        sa.update(results)
        .where(results.c.job_id == rows.c.id, results.c.analyzed_at.is_(None))
        .values(analyzed_at=utcnow(), spans=lines(results.c.spans, rows.c.spans))
        .returning(results.c.job_id)
    )
