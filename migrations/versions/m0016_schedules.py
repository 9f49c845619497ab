"""Schedules, their firings, and backfills"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_OPEN = "ended IS NULL AND (outcome = 'backfill' OR outcome = 'fired')"


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_note", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("backoff_until", TIME, nullable=True),
        sa.Column("next_fire_at", TIME, nullable=True),
        sa.Column("next_due_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    _index("schedules_due", "schedules", ["next_due_at"], "next_due_at IS NOT NULL")
    _index("schedules_by_workspace", "schedules", ["organization", "workspace", "id"])
    op.create_table(
        "firings",
        sa.Column("schedule_id", ID, primary_key=True),
        sa.Column("fire_at", TIME, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("job_ids", JSON, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("backfill_id", ID, nullable=True),
        sa.Column("lateness_ms", sa.Integer(), nullable=True),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
    )
    _index("firings_open", "firings", ["schedule_id", "fire_at"], _OPEN)
    _index("firings_waiting", "firings", ["schedule_id", "fire_at"], "outcome = 'waiting'")
    _index("firings_by_time", "firings", ["decided_at"])
    op.create_table(
        "backfills",
        sa.Column("id", ID, primary_key=True),
        sa.Column("schedule_id", ID, nullable=False),
        sa.Column("start_at", TIME, nullable=False),
        sa.Column("end_at", TIME, nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("handled", sa.Integer(), nullable=False),
        sa.Column("reached", TIME, nullable=False),
        sa.Column("done_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
    )
    _index("backfills_by_schedule", "backfills", ["schedule_id", "id"])
    _index("backfills_running", "backfills", ["id"], "done_at IS NULL")


def downgrade() -> None:
    op.drop_table("backfills")
    op.drop_table("firings")
    op.drop_table("schedules")


def _index(name: str, table: str, columns: list[str], condition: str | None = None) -> None:
    where = None if condition is None else sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
