"""Organizations may have limits of their own"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import JSON, TIME

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "organization_limits",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("limits", JSON, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("organization_limits")
