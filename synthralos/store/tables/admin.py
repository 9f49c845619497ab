"""Who may call, which processes there are, and who of them leads."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text

organizations = sa.Table(
    "organizations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    text("plan"),
    sa.Column("created_at", UtcTime, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("name"),
    text("prefix"),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    text("organization", null=True),
    text("workspace", null=True),
    text("user_id", null=True),
    text("role"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("revoked_at", UtcTime),
    sa.Column("expires_at", UtcTime),
    sa.Column("last_used_at", UtcTime),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("kind"),
    text("host"),
    text("boot"),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("stages", Json, nullable=False),
    text("state"),
    text("release", null=True),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("heartbeat_at", UtcTime, nullable=False),
)

leaders = sa.Table(
    "leaders",
    metadata,
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("holder", Id, nullable=False),
    sa.Column("term", sa.Integer, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)
