"""Chunks of answers that are streamed"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stream_chunks",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt_no", sa.Integer(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("chunk", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("stream_chunks")
