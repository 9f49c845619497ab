"""What the monitor found, and what it has learned."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text, where

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("kind"),
    text("subject"),
    text("state"),
    sa.Column("forecast", sa.Boolean, nullable=False),
    text("severity"),
    text("reason"),
    sa.Column("evidence", Json, nullable=False),
    sa.Column("steps", Json, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("closed_at", UtcTime),
    sa.Column("acknowledged_at", UtcTime),
    text("acknowledged_by", null=True),
    sa.Index("incidents_live", "kind", "subject", unique=True, **where("closed_at IS NULL")),
    sa.Index("incidents_by_subject", "kind", "subject", "id"),
    sa.Index("incidents_by_organization", "organization", "id"),
    sa.Index("incidents_by_change", "changed_at"),
)
"""Organization "" is the installation. `steps` are what was done about it, oldest first, the last 50."""

baselines = sa.Table(
    "baselines",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("learned", Json, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
"""What each detector of the monitor has learned of its subject, as of that time."""
