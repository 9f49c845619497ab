"""Dead letters have an index, and operations on many of them a table"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    failed = sa.text("state = 'failed'")
    op.create_index("results_failed", "results", ["job_id"], postgresql_where=failed, sqlite_where=failed)
    op.create_table(
        "bulk_operations",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("filter", JSON, nullable=False),
        sa.Column("changes", JSON, nullable=True),
        sa.Column("per_second", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("last_id", ID, nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("repeats", ID, nullable=True),
    )
    running = sa.text("state = 'running'")
    op.create_index(
        "bulk_operations_running", "bulk_operations", ["id"], postgresql_where=running, sqlite_where=running
    )
    op.create_index("bulk_operations_by_organization", "bulk_operations", ["organization", "id"])


def downgrade() -> None:
    op.drop_table("bulk_operations")
    op.drop_index("results_failed", "results")
