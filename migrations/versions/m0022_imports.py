"""Which exported dead letters were imported, as which jobs"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, TIME

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported_jobs",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("workspace", sa.Text(), primary_key=True),
        sa.Column("exported_id", ID, primary_key=True),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("imported_jobs")
