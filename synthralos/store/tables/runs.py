"""Caps of agent runs, and where forked ones come from."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, JsonText, UtcTime
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
    sa.Index("run_caps_by_time", "changed_at"),
)
"""`calls` counts the attempts that have begun. `budget_id` is the budget that holds the run's money; `refused_reason`
says why a call was last refused since the caps were set."""

run_forks = sa.Table(
    "run_forks",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    text("workspace"),
    text("user_id", null=True),
    text("parent"),
    text("from_step"),
    sa.Column("kept", JsonText, nullable=False),
    sa.Column("differs", JsonText, nullable=False),
    text("fingerprint"),
    sa.Column("created_at", UtcTime, nullable=False),
    text("created_by"),
    sa.Index("run_forks_by_time", "created_at"),
)
"""`kept` are the finished steps before the fork, with the jobs that answered them and what those have cost."""
