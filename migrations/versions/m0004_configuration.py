"""Flags, limits and deployments that change while everything runs, and the record of changes"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("config_version", "feature_flags", "plan_limits", "deployments", "audit_log")


def upgrade() -> None:
    op.create_table(
        "config_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _create_changed("feature_flags", "name", sa.Column("enabled", sa.Boolean(), nullable=False),
                    sa.Column("percentage", sa.Integer(), nullable=False))  # fmt: skip
    _create_changed("plan_limits", "plan", sa.Column("limits", JSON, nullable=False))
    _create_changed("deployments", "id", sa.Column("entry", JSON, nullable=False))
    op.create_table(
        "audit_log",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("subject", "actor", "organization"):
        op.create_index(f"audit_log_by_{name}", "audit_log", [name, "id"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_changed(name: str, key: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column(key, sa.Text(), nullable=False),
        *columns,
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(key),
    )
