"""Traces that have changed since they were exported are owed again: a repeat overwrites at the destination."""

from collections.abc import Sequence

import sqlalchemy as sa

from synthralos.store.queue.appended import BACKLOG, backlog_rows
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import asked_at
from synthralos.store.tables import export_destinations, results

FORGOTTEN_AFTER = 30 * 86_400.0
"""Seconds after which nothing is owed to a destination that no worker has begun to ship to since."""


def owe_again(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Within the caller's transaction. Jobs that are not at their end yet are exported at their end anyway."""
    known = export_destinations.c
    living = sa.select(known.name).where(known.seen_at > asked_at(sa.literal(-FORGOTTEN_AFTER)))
    destinations = connection.execute(living).scalars().all()
    if not destinations:
        return
    over = sa.select(results.c.job_id).where(results.c.job_id.in_(job_ids), results.c.analyzed_at.is_not(None))
    rows = [row for job_id in connection.execute(over).scalars() for row in backlog_rows(job_id, destinations)]
    if rows:
        connection.execute(BACKLOG.insert(connection.dialect.name), {"rows": encode_rows(rows)})
