"""Operations on many jobs, which the leader of the schedulers carries out piece by piece."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, number, text, where

bulk_operations = sa.Table(
    "bulk_operations",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization", null=True),
    text("workspace", null=True),
    text("user_id", null=True),
    text("name"),
    text("act"),
    sa.Column("filter", Json, nullable=False),
    sa.Column("changes", Json),
    sa.Column("per_second", sa.Float),
    text("state"),
    sa.Column("last_id", Id),
    number("done"),
    text("created_by"),
    text("reason"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("repeats", Id),
    sa.Index("bulk_operations_running", "id", **where("state = 'running'")),
    sa.Index("bulk_operations_by_organization", "organization", "id"),
)
"""`organization`, `workspace` and `user_id` are what the key that made it may see. Of the jobs that fit the filter and
had ended before it was made, those up to `last_id` are done. `repeats`: the operation that it was made from."""
