"""Sums of finished jobs by minute, hour and day, and of their failures by hour; feedback on jobs"""

import sqlalchemy as sa
from alembic import op

from migrations.trace_texts import drop_trigger, trigger
from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_TRIGGER = "feedback_of_deleted"
_SUMS = ("jobs", "calls", "input_tokens", "output_tokens", "unknown_cost_jobs", "cost_picousd")


def upgrade() -> None:
    op.create_table(
        "job_sums",
        sa.Column("span", sa.Text(), primary_key=True),
        sa.Column("since", TIME, primary_key=True),
        *_key("organization", "workspace", "model", "deployment", "state", "failure_class"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.Column("seconds", JSON, nullable=False),
        sa.Column("waits", JSON, nullable=False),
    )
    op.create_index("job_sums_by_organization", "job_sums", ["organization", "span", "since"])
    op.create_table(
        "error_sums",
        sa.Column("since", TIME, primary_key=True),
        *_key("organization", "workspace", "failure_class", "deployment", "fingerprint"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("jobs", JSON, nullable=False),
    )
    op.create_index("error_sums_by_organization", "error_sums", ["organization", "since"])
    op.create_table(
        "feedback",
        sa.Column("job_id", ID, primary_key=True),
        *_key("source", "label"),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index("feedback_by_label", "feedback", ["label", "job_id"])
    trigger(op.get_bind(), _TRIGGER, "DELETE ON jobs", "DELETE FROM feedback WHERE job_id = OLD.id;")


def downgrade() -> None:
    drop_trigger(op.get_bind(), _TRIGGER, "jobs")
    op.drop_table("feedback")
    op.drop_table("error_sums")
    op.drop_table("job_sums")


def _key(*names: str) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.Text(), primary_key=True) for name in names]
