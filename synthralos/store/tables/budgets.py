"""Budgets, what was used of them, and what is held for calls under way."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, Money, UtcTime
from synthralos.store.tables.base import metadata, text, where

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("name"),
    text("organization", null=True),
    text("workspace", null=True),
    text("user_id", null=True),
    text("per"),
    text("period"),
    sa.Column("limit_picousd", Money, nullable=False),
    text("at_limit"),
    sa.Column("alerts", Json, nullable=False),
    sa.Column("raised_picousd", Money),
    sa.Column("raised_until", UtcTime),
    text("raised_by", null=True),
    text("raised_reason", null=True),
    sa.Column("changed_at", UtcTime, nullable=False),
    text("changed_by"),
    sa.Column("api_key_id", Id),
    text("run_id", null=True),
    sa.Index("budgets_by_organization", "organization", "id"),
)

budget_uses = sa.Table(
    "budget_uses",
    metadata,
    sa.Column("budget_id", Id, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("since", UtcTime, primary_key=True),
    sa.Column("held_picousd", Money, nullable=False),
    sa.Column("maybe_picousd", Money, nullable=False),
    sa.Column("spent_picousd", Money, nullable=False),
    sa.Column("alerted", sa.Integer, nullable=False),
)
"""A new period is a new row: nothing has to be set back. `alerted`: the highest percentage that was told."""

budget_holds = sa.Table(
    "budget_holds",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("attempt_no", sa.Integer, primary_key=True),
    sa.Column("budget_id", Id, primary_key=True),
    text("subject"),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("amount_picousd", Money, nullable=False),
    text("fate"),
    sa.Index("budget_holds_open", "job_id", **where("fate = 'open'")),
)
"""What a call has reserved, from its start on: `open` while it runs, `maybe` where it may be billed."""
