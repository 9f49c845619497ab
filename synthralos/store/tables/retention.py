"""How long what is kept, what is left of jobs for the books, and erasures."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, JsonText, UtcTime
from synthralos.store.tables.base import metadata, text, where

organization_retention = sa.Table(
    "organization_retention",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("days", Json, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    text("changed_by"),
)

job_accounts = sa.Table(
    "job_accounts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("trace_id", null=True),
    text("run_id", null=True),
    text("model"),
    sa.Column("metadata", JsonText),
    sa.Column("api_key_id", Id),
    sa.Index("job_accounts_by_organization", "organization", "id"),
)
"""Whose the calls of a job were that is gone: what the ledger asks `jobs` for. A job is in one of the two at most."""

retention_places = sa.Table(
    "retention_places",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("at", UtcTime),
)
"""What is older than `at` was looked at; organization "" are all that have no place of their own."""

retention_left = sa.Table(
    "retention_left",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("finished_at", UtcTime, nullable=False),
)
"""Ends of jobs whose time was over when something still held them: an exporter, or a trace that was not closed."""

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace", null=True),
    text("user_id", null=True),
    text("open_jobs"),
    text("pseudonym"),
    text("state"),
    text("step", null=True),
    sa.Column("place", Json),
    sa.Column("counts", Json, nullable=False),
    text("created_by"),
    text("reason"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Index("erasures_running", "id", **where("finished_at IS NULL")),
    sa.Index("erasures_by_organization", "organization", "id"),
)
"""`step` is what is erased next, and `place` how far that has come. `user_id` is forgotten at the end."""
