"""Wait points of jobs and runs"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "waits",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("default_answer", JSON, nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("grants", JSON, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("deadline", TIME, nullable=False),
        sa.Column("answered_at", TIME, nullable=True),
    )
    op.create_index("waits_open_of_job", "waits", ["job_id"], unique=True, **_where("state = 'open'"))
    op.create_index("waits_open_by_deadline", "waits", ["deadline"], **_where("state = 'open' AND job_id IS NULL"))
    op.create_index("waits_open_by_organization", "waits", ["organization", "id"], **_where("state = 'open'"))
    op.create_index("waits_by_organization", "waits", ["organization", "id"])
    op.create_index("waits_by_job", "waits", ["job_id", "id"], **_where("job_id IS NOT NULL"))
    op.create_index("waits_by_run", "waits", ["run_id", "id"], **_where("run_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("waits")


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}
