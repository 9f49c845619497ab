"""Prompts are compared with earlier ones"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prompt_similarity_logs",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("vector", sa.Text(), nullable=False),
        sa.Column("matched_job_id", ID, nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("matches", JSON, nullable=True),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index("prompt_similarity_logs_by_organization", "prompt_similarity_logs", ["organization", "at"])
    op.create_index("prompt_similarity_logs_by_request", "prompt_similarity_logs", ["request_key"])
    op.create_index("prompt_similarity_logs_by_time", "prompt_similarity_logs", ["at"])


def downgrade() -> None:
    op.drop_table("prompt_similarity_logs")
