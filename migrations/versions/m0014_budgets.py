"""Budgets, what was used of them, and what is held for calls under way"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("limit_picousd", sa.BigInteger(), nullable=False),
        sa.Column("at_limit", sa.Text(), nullable=False),
        sa.Column("alerts", JSON, nullable=False),
        sa.Column("raised_picousd", sa.BigInteger(), nullable=True),
        sa.Column("raised_until", TIME, nullable=True),
        sa.Column("raised_by", sa.Text(), nullable=True),
        sa.Column("raised_reason", sa.Text(), nullable=True),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_index("budgets_by_organization", "budgets", ["organization", "id"])
    op.create_table(
        "budget_uses",
        sa.Column("budget_id", ID, primary_key=True),
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("since", TIME, primary_key=True),
        sa.Column("held_picousd", sa.BigInteger(), nullable=False),
        sa.Column("maybe_picousd", sa.BigInteger(), nullable=False),
        sa.Column("spent_picousd", sa.BigInteger(), nullable=False),
        sa.Column("alerted", sa.Integer(), nullable=False),
    )
    op.create_table(
        "budget_holds",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt_no", sa.Integer(), primary_key=True),
        sa.Column("budget_id", ID, primary_key=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("amount_picousd", sa.BigInteger(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
    )
    held = sa.text("fate = 'open'")
    op.create_index("budget_holds_open", "budget_holds", ["job_id"], postgresql_where=held, sqlite_where=held)


def downgrade() -> None:
    for table in ("budget_holds", "budget_uses", "budgets"):
        op.drop_table(table)
