"""What running jobs have said so far."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, JsonText
from synthralos.store.tables.base import metadata

stream_chunks = sa.Table(
    "stream_chunks",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("attempt_no", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("chunk", JsonText, nullable=False),
)
"""Chunks of answers, of jobs that asked for them. Job ids are ordered by time: the oldest are deleted by their id."""
