"""Incidents, and the baselines that the monitor has learned"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_LIVE = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("forecast", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("steps", JSON, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("acknowledged_at", TIME),
        sa.Column("acknowledged_by", sa.Text()),
    )
    op.create_index(
        "incidents_live",
        "incidents",
        ["kind", "subject"],
        unique=True,
        postgresql_where=_LIVE,
        sqlite_where=_LIVE,
    )
    op.create_index("incidents_by_subject", "incidents", ["kind", "subject", "id"])
    op.create_index("incidents_by_organization", "incidents", ["organization", "id"])
    op.create_index("incidents_by_change", "incidents", ["changed_at"])
    op.create_table(
        "baselines",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("learned", JSON, nullable=False),
        sa.Column("at", TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("baselines")
    op.drop_table("incidents")
