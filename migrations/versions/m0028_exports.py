"""Exports: destinations say how they fare, and what they refuse for good is set aside"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, TIME

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export_backlog", sa.Column("claim_no", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "export_set_aside",
        sa.Column("destination", sa.Text(), primary_key=True),
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index("export_set_aside_by_kind", "export_set_aside", ["destination", "kind", "job_id"])
    op.create_index("export_set_aside_by_job", "export_set_aside", ["job_id"])
    op.create_table(
        "export_destinations",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("residency", sa.Text(), nullable=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("rest_until", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", TIME, nullable=True),
        sa.Column("last_sent_at", TIME, nullable=True),
        sa.Column("link", sa.Text(), nullable=True),
    )


def downgrade() -> None:
    # What is set aside is owed again: the release before has no other place for it, and drops nothing.
    op.execute(
        "INSERT INTO export_backlog (destination, job_id, since, tries, next_at)"
        " SELECT destination, job_id, since, tries, NULL FROM export_set_aside AS aside WHERE kind = 'refused'"
        " AND NOT EXISTS (SELECT 1 FROM export_backlog AS owed"
        " WHERE owed.destination = aside.destination AND owed.job_id = aside.job_id)"
    )
    op.drop_table("export_destinations")
    op.drop_table("export_set_aside")
    with op.batch_alter_table("export_backlog") as backlog:
        backlog.drop_column("claim_no")
