"""Repairs by StackStorm"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_OPEN = "state = 'asked' OR state = 'started'"


def upgrade() -> None:
    op.create_table(
        "repairs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failure_class", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=True),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("acted_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("result", JSON, nullable=True),
    )
    op.create_index("repairs_open", "repairs", ["id"], **_where(_OPEN))
    op.create_index("repairs_open_of_subject", "repairs", ["subject"], unique=True, **_where(_OPEN))
    op.create_index("repairs_by_organization", "repairs", ["organization", "id"])
    op.create_index("repairs_by_job", "repairs", ["job_id", "id"], **_where("job_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("repairs")


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}
