"""Caps and forks of agent runs, and budgets for one run alone"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, TIME

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budgets", sa.Column("run_id", sa.Text(), nullable=True))
    op.create_table(
        "run_caps",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("max_calls", sa.Integer(), nullable=True),
        sa.Column("deadline", TIME, nullable=True),
        sa.Column("max_repeats", sa.Integer(), nullable=False),
        sa.Column("budget_id", ID, nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("refused_reason", sa.Text(), nullable=True),
        sa.Column("refused_at", TIME, nullable=True),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "run_forks",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("from_step", sa.Text(), nullable=False),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("differs", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("run_forks")
    op.drop_table("run_caps")
    # A budget of one run would hold every run of its organization.
    op.execute("DELETE FROM budget_holds WHERE budget_id IN (SELECT id FROM budgets WHERE run_id IS NOT NULL)")
    op.execute("DELETE FROM budget_uses WHERE budget_id IN (SELECT id FROM budgets WHERE run_id IS NOT NULL)")
    op.execute("DELETE FROM budgets WHERE run_id IS NOT NULL")
    op.drop_column("budgets", "run_id")
