"""What is known of finished jobs at a glance, and the index of their words"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.trace_texts import create, drop
from migrations.versions.m0001_spine import ID, TIME

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_INDEXES = {
    "trace_facts_by_organization": ["organization", "job_id"],
    "trace_facts_by_cost": ["cost_picousd", "job_id"],
    "trace_facts_by_seconds": ["seconds", "job_id"],
}


def upgrade() -> None:
    op.create_table(
        "digests",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("at", TIME, nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("until", TIME, nullable=True),
    )
    op.create_table(
        "trace_facts",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        *(_text(name) for name in ("organization", "workspace")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("user_id", "trace_id", "run_id")),
        *(_text(name) for name in ("model", "lane", "state", "deployment", "failure_class")),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("wait_seconds", sa.Float(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("input_tokens", "output_tokens")),
        sa.Column("cost_picousd", sa.BigInteger(), nullable=False),
        sa.Column("cost_known", sa.Boolean(), nullable=False),
    )
    op.create_index("trace_facts_by_seq", "trace_facts", ["seq"], unique=True)
    for name, columns in _INDEXES.items():
        op.create_index(name, "trace_facts", columns)
    create(op.get_bind())


def downgrade() -> None:
    drop(op.get_bind())
    op.drop_table("trace_facts")
    op.drop_table("digests")


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text(), nullable=False)
