"""Sums of the ledger, which answer for what it cost; and what was adjusted afterwards."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, Money, UtcTime
from synthralos.store.tables.base import metadata, text, where

cost_periods = sa.Table(
    "cost_periods",
    metadata,
    sa.Column("span", sa.Text, primary_key=True),
    sa.Column("since", UtcTime, primary_key=True),
    sa.Column("summed", sa.Boolean, nullable=False),
    sa.Index("cost_periods_due", "since", **where("NOT summed")),
)
"""Hours and days (`span`) by their beginning. `summed`: `cost_sums` says what ended in them; else the ledger does."""

COUNTS = (
    "calls", "unknown_calls", "maybe_calls", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "reused",
)  # fmt: skip

cost_sums = sa.Table(
    "cost_sums",
    metadata,
    text("span"),
    sa.Column("since", UtcTime, nullable=False),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("model"),
    text("deployment"),
    text("provider"),
    text("kind"),
    text("basis"),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
    sa.Column("cost_picousd", Money, nullable=False),
    sa.Column("maybe_picousd", Money, nullable=False),
    sa.Index("cost_sums_by_time", "span", "since"),
    sa.Index("cost_sums_by_organization", "organization", "span", "since"),
)
"""All rows of a period are written at once, by the leader, and replaced together."""

cost_adjustments = sa.Table(
    "cost_adjustments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("batch"),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    text("organization", null=True),
    text("workspace", null=True),
    text("user_id", null=True),
    text("provider"),
    text("model"),
    sa.Column("amount_picousd", Money, nullable=False),
    sa.Column("said", Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    text("created_by"),
    text("reason"),
    sa.UniqueConstraint("batch", "position", name="cost_adjustments_once"),
    sa.Index("cost_adjustments_by_time", "at"),
)
"""Entries that set the books right without changing what is in them: `batch` names the document by its content."""
