"""Wait points: what jobs and runs wait for, and who answered."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text, where

_OPEN = "state = 'open'"

waits = sa.Table(
    "waits",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    sa.Column("job_id", Id),
    text("run_id", null=True),
    text("kind"),
    text("name"),
    text("prompt"),
    text("state"),
    sa.Column("default_answer", Json),
    sa.Column("answer", Json),
    sa.Column("grants", Json, nullable=False),
    text("comment"),
    text("answered_by", null=True),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("deadline", UtcTime, nullable=False),
    sa.Column("answered_at", UtcTime),
    sa.Index("waits_open_of_job", "job_id", unique=True, **where(_OPEN)),
    sa.Index("waits_open_by_deadline", "deadline", **where(f"{_OPEN} AND job_id IS NULL")),
    sa.Index("waits_open_by_organization", "organization", "id", **where(_OPEN)),
    sa.Index("waits_by_organization", "organization", "id"),
    sa.Index("waits_by_job", "job_id", "id", **where("job_id IS NOT NULL")),
    sa.Index("waits_by_run", "run_id", "id", **where("run_id IS NOT NULL")),
)
"""A job has at most one that is open: it is parked for it until its `run_at`. `grants`: what an answer lets the job
through. A wait without a job is an agent's, which asks for its answer."""
