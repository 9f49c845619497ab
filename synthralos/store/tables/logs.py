"""What is appended beside a job: its events, its prompt's likeness to others, and what exporters are owed."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text, where

_IN_THE_FEED = where("commit_no IS NOT NULL")

event_logs = sa.Table(
    "event_logs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("job_id", Id, nullable=False),
    text("organization"),
    text("kind"),
    text("actor"),
    sa.Column("data", Json, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("commit_no", sa.BigInteger),
    sa.Index("event_logs_by_job", "job_id", "id"),
    sa.Index("event_logs_by_organization", "organization", "id"),
    sa.Index("event_logs_by_commit", "commit_no", "id", **_IN_THE_FEED),
    sa.Index("event_logs_by_organization_commit", "organization", "commit_no", "id", **_IN_THE_FEED),
)
"""`commit_no` is filled by the database: the number of the writing transaction on PostgreSQL, a count of rows on
SQLite. NULL: written before the feed was there. See `store/read/feed.py`."""

happenings = sa.Table(
    "happenings",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("kind"),
    text("subject"),
    text("actor"),
    sa.Column("data", Json, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("commit_no", sa.BigInteger),
    sa.Index("happenings_by_organization", "organization", "id"),
    sa.Index("happenings_by_commit", "commit_no", "id", **_IN_THE_FEED),
)
"""What happened beside jobs; organization "" is the installation. `commit_no` as in `event_logs`."""

prompt_similarity_logs = sa.Table(
    "prompt_similarity_logs",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("trace_id"),
    text("fingerprint"),
    text("request_key"),
    text("embedder"),
    text("vector"),
    sa.Column("matched_job_id", Id),
    sa.Column("score", sa.Float),
    sa.Column("matches", Json),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("prompt_similarity_logs_by_organization", "organization", "at"),
    sa.Index("prompt_similarity_logs_by_request", "request_key"),
    sa.Index("prompt_similarity_logs_by_time", "at"),
)
"""One row for each prompt that was compared; the best match, where there was one, and `matches` with all that count."""

export_backlog = sa.Table(
    "export_backlog",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", UtcTime),
)
"""`tries` counts the shipments that the trace was in; `next_at`: it is in one until then, or comes again then."""
