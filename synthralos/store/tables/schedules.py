"""Schedules, what became of their ticks, and backfills."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, number, text, where

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("name"),
    text("owner"),
    sa.Column("document", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    text("pause_note"),
    number("failures"),
    sa.Column("backoff_until", UtcTime),
    sa.Column("next_fire_at", UtcTime),
    sa.Column("next_due_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    text("changed_by"),
    sa.Index("schedules_due", "next_due_at", **where("next_due_at IS NOT NULL")),
    sa.Index("schedules_by_workspace", "organization", "workspace", "id"),
)
"""`document` is what people wrote (`Schedule.to_json` without the columns that stand here). `version` counts their
changes, `revision` every write of the row: who writes on what was read before names it. `next_fire_at` is the first
tick that nobody has decided about, and `next_due_at` when its time is, with jitter and backoff; both are NULL while the
schedule is paused or over. `failures` are those in a row."""

firings = sa.Table(
    "firings",
    metadata,
    sa.Column("schedule_id", Id, primary_key=True),
    sa.Column("fire_at", UtcTime, primary_key=True),
    text("organization"),
    text("outcome"),
    text("reason"),
    sa.Column("job_ids", Json, nullable=False),
    text("run_id", null=True),
    sa.Column("backfill_id", Id),
    sa.Column("lateness_ms", sa.Integer),
    sa.Column("decided_at", UtcTime, nullable=False),
    text("ended", null=True),
    sa.Index(
        "firings_open",
        "schedule_id",
        "fire_at",
        **where("ended IS NULL AND (outcome = 'backfill' OR outcome = 'fired')"),
    ),
    sa.Index("firings_waiting", "schedule_id", "fire_at", **where("outcome = 'waiting'")),
    sa.Index("firings_by_time", "decided_at"),
)
"""What became of each tick: the primary key is what has a tick fire once. `ended`: how its jobs ended, all together."""

backfills = sa.Table(
    "backfills",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("schedule_id", Id, nullable=False),
    sa.Column("start_at", UtcTime, nullable=False),
    sa.Column("end_at", UtcTime, nullable=False),
    text("overlap"),
    sa.Column("total", sa.Integer, nullable=False),
    number("handled"),
    sa.Column("reached", UtcTime, nullable=False),
    sa.Column("done_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    text("created_by"),
    sa.Index("backfills_by_schedule", "schedule_id", "id"),
    sa.Index("backfills_running", "id", **where("done_at IS NULL")),
)
"""`reached`: everything up to there is decided about."""
