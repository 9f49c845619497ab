"""Quotas of providers, by credential and model"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import TIME

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("quotas")
