"""What finished jobs did at the stages, in sum"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import JSON, TIME

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stage_sums",
        sa.Column("span", sa.Text(), primary_key=True),
        sa.Column("since", TIME, primary_key=True),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("organization", "workspace", "stage")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("jobs", "visits", "failed")),
        sa.Column("total_seconds", sa.Float(), nullable=False),
        sa.Column("seconds", JSON, nullable=False),
    )
    op.create_index("stage_sums_by_organization", "stage_sums", ["organization", "span", "since"])


def downgrade() -> None:
    op.drop_table("stage_sums")
