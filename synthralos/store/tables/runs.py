"""Caps of agent runs."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, UtcTime
from synthralos.store.tables.base import metadata, number, text

run_caps = sa.Table(
    "run_caps",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("max_calls", sa.Integer),
    sa.Column("deadline", UtcTime),
    sa.Column("max_repeats", sa.Integer, nullable=False),
    sa.Column("budget_id", Id),
    number("calls"),
    text("refused_reason", null=True),
    sa.Column("refused_at", UtcTime),
    sa.Column("changed_at", UtcTime, nullable=False),
    text("changed_by"),
)
"""`calls` counts the attempts that have begun. `budget_id` is the budget that holds the run's money; `refused_reason`
says why a call was last refused since the caps were set."""
