"""Who hears of the feed outside, and what is on its way there."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, JsonText, UtcTime
from synthralos.store.tables.base import metadata, number, text, where

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization", null=True),
    text("url"),
    text("description"),
    sa.Column("types", Json, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("content", sa.Boolean, nullable=False),
    text("residency", null=True),
    text("form"),
    sa.Column("secrets", Json, nullable=False),
    text("disabled_because", null=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    text("created_by"),
    sa.Column("changed_at", UtcTime, nullable=False),
    text("changed_by"),
    sa.Index("webhook_endpoints_by_organization", "organization", "id"),
)
"""`secrets` is a list of `{"secret", "until"}`, the newest first; `until`: when an old one signs no more.
`organization` NULL: the whole installation's. `disabled_because`: why the installation disabled it; NULL where people
did."""

feed_targets = sa.Table(
    "feed_targets",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("target_id", sa.Text, primary_key=True),
    text("cursor"),
    number("failures"),
    sa.Column("changed_at", UtcTime, nullable=False),
)
"""How far the feed was read for a target of a channel, and how many tries failed in a row."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("channel"),
    text("target_id"),
    sa.Column("event_id", Id, nullable=False),
    text("type"),
    sa.Column("event", JsonText, nullable=False),
    text("state"),
    number("tries"),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("next_at", UtcTime),
    sa.Column("last_at", UtcTime),
    sa.Column("status", sa.Integer),
    text("answer", null=True),
    text("reason", null=True),
    sa.Index("deliveries_once", "target_id", "event_id", unique=True),
    sa.Index("deliveries_by_target", "target_id", "id"),
    sa.Index("deliveries_due", "target_id", "next_at", **where("state = 'pending'")),
)
"""An event on its way to a target. `since`: from when on its tries count as too many; `next_at`: when it is tried."""
