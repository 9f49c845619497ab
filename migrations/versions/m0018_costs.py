"""Sums of the ledger by hour and day, adjustments of it, and ways to what ended within a time"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_COUNTS = (
    "calls", "unknown_calls", "maybe_calls", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "reused", "cost_picousd", "maybe_picousd",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "cost_periods",
        sa.Column("span", sa.Text(), primary_key=True),
        sa.Column("since", TIME, primary_key=True),
        sa.Column("summed", sa.Boolean(), nullable=False),
    )
    op.create_index(
        "cost_periods_due", "cost_periods", ["since"],
        postgresql_where=sa.text("NOT summed"), sqlite_where=sa.text("NOT summed"),
    )  # fmt: skip
    op.create_table(
        "cost_sums",
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        *(_text(name) for name in ("organization", "workspace")),
        sa.Column("user_id", sa.Text(), nullable=True),
        *(_text(name) for name in ("model", "deployment", "provider", "kind", "basis")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
    )
    op.create_index("cost_sums_by_time", "cost_sums", ["span", "since"])
    op.create_index("cost_sums_by_organization", "cost_sums", ["organization", "span", "since"])
    op.create_table(
        "cost_adjustments",
        sa.Column("id", ID, primary_key=True),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("amount_picousd", sa.BigInteger(), nullable=False),
        sa.Column("said", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.UniqueConstraint("batch", "position", name="cost_adjustments_once"),
    )
    op.create_index("cost_adjustments_by_time", "cost_adjustments", ["at"])
    for table, column in _ENDS.items():
        _by_time(table, column)


def downgrade() -> None:
    for table, column in _ENDS.items():
        op.drop_index(f"{table}_by_{column}", table)
    for table in ("cost_adjustments", "cost_sums", "cost_periods"):
        op.drop_table(table)


_ENDS = {"attempts": "ended_at", "results": "finished_at"}


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text(), nullable=False)


def _by_time(table: str, column: str) -> None:
    """Rows come in the order of that time: on PostgreSQL the pages' bounds are enough, and cost a row nothing."""
    brin: dict[str, Any] = {
        "postgresql_using": "brin",
        "postgresql_with": {"pages_per_range": 16, "autosummarize": "on"},
    }
    op.create_index(f"{table}_by_{column}", table, [column], **brin)
