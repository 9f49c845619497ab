"""Sums of finished jobs by minute, hour and day, and of their failures by hour"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import JSON, TIME

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

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


def downgrade() -> None:
    op.drop_table("error_sums")
    op.drop_table("job_sums")


def _key(*names: str) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.Text(), primary_key=True) for name in names]
