"""Bulk jobs may wait in the line of their organization"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("open_jobs", sa.Column("line", sa.Text(), nullable=True))
    op.add_column("open_jobs", sa.Column("line_tokens", sa.Integer(), nullable=True))
    in_line = sa.text("line IS NOT NULL")
    op.create_index("open_jobs_in_line", "open_jobs", ["line", "id"], postgresql_where=in_line, sqlite_where=in_line)


def downgrade() -> None:
    """Who waits in a line is rung again at once: those of before would find it only after a day."""
    op.execute(sa.text("UPDATE open_jobs SET notified_at = '1970-01-01T00:00:00.000000Z' WHERE line IS NOT NULL"))
    op.drop_index("open_jobs_in_line", "open_jobs")
    op.drop_column("open_jobs", "line_tokens")
    op.drop_column("open_jobs", "line")
