"""Reading what a job's calls were made under. The caller has checked the scope."""

from typing import Any

import sqlalchemy as sa

from synthralos.domain.evidence import EvidenceRows
from synthralos.store.sql.database import Database
from synthralos.store.tables import (
    all_attempts,
    attempts,
    catalog_entries,
    event_logs,
    jobs,
    open_jobs,
    routing_plans,
)


class Evidence:
    """Reads it, the calls in one statement: one that ends meanwhile is there once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job_id: str) -> EvidenceRows:
        """The evidence of a job that exists."""
        event = event_logs.c
        with self._database.snapshot() as connection:
            constraints = connection.execute(sa.select(jobs.c.constraints).where(jobs.c.id == job_id)).scalar()
            calls = [dict(row) for row in connection.execute(_calls(job_id)).mappings()]
            events = sa.select(event_logs).where(event.job_id == job_id).order_by(event.at, event.id)
            happened = [dict(row) for row in connection.execute(events).mappings()]
            keys = {call["grounds"]["plan_key"] for call in calls if call["grounds"] is not None}
            plans = sa.select(routing_plans.c.key, routing_plans.c.body).where(routing_plans.c.key.in_(sorted(keys)))
            found = {row.key: row.body for row in connection.execute(plans)}
        return EvidenceRows(constraints or {}, calls, happened, found)


def _calls(job_id: str) -> sa.Select[Any]:
    ended = sa.select(attempts.c.attempt_no, attempts.c.entry_key).where(attempts.c.job_id == job_id)
    under_way = sa.select(open_jobs.c.attempts, open_jobs.c.entry_key)
    under_way = under_way.where(open_jobs.c.id == job_id, open_jobs.c.in_flight)
    keys = sa.union_all(ended, under_way).subquery("keys")
    entry = catalog_entries.c
    return (
        sa.select(all_attempts, entry.residency, entry.zero_retention, entry.grounds)
        .join(keys, keys.c.attempt_no == all_attempts.c.attempt_no)
        .join(catalog_entries, entry.key == keys.c.entry_key)
        .where(all_attempts.c.job_id == job_id)
        .order_by(all_attempts.c.attempt_no)
    )
