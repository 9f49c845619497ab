"""Repairs by StackStorm."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text, where

_OPEN = "state = 'asked' OR state = 'started'"

repairs = sa.Table(
    "repairs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    sa.Column("job_id", Id),
    text("run_id", null=True),
    text("subject"),
    text("kind"),
    text("workflow"),
    sa.Column("parameters", Json, nullable=False),
    text("reason"),
    text("failure_class"),
    text("state"),
    text("asked_by"),
    text("execution_id", null=True),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("acted_at", UtcTime),
    sa.Column("ended_at", UtcTime),
    text("outcome"),
    sa.Column("result", Json),
    sa.Index("repairs_open", "id", **where(_OPEN)),
    sa.Index("repairs_open_of_subject", "subject", unique=True, **where(_OPEN)),
    sa.Index("repairs_by_organization", "organization", "id"),
    sa.Index("repairs_by_job", "job_id", "id", **where("job_id IS NOT NULL")),
)
"""A job, or an incident, has at most one that is open. `domain/repairs.py` says what its columns mean."""
