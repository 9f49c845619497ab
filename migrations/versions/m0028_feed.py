"""The order of what is committed, for the event stream; webhooks, and deliveries of events"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, JSON, TIME

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_ORDERED = ("event_logs", "happenings")
_INDEXES = {
    "event_logs_by_commit": ("event_logs", ["commit_no", "id"]),
    "event_logs_by_organization_commit": ("event_logs", ["organization", "commit_no", "id"]),
    "happenings_by_commit": ("happenings", ["commit_no", "id"]),
    "trace_facts_by_organization_seq": ("trace_facts", ["organization", "seq"]),
}


def upgrade() -> None:
    """On PostgreSQL in three transactions; the first two do no harm where they are done again after a kill."""
    for table in _ORDERED:
        _order(table)
    _make_indexes()
    _make_tables()


def downgrade() -> None:
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
    for table in _ORDERED:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {table}_commit_no")
        op.drop_column(table, "commit_no")
    op.execute("DELETE FROM digests WHERE name = 'commits'")
    for table in ("deliveries", "feed_targets", "webhook_endpoints"):
        op.drop_table(table)


def _order(table: str) -> None:
    """PostgreSQL: first without a default, so that no row is rewritten; rows from before stay out of the feed."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS commit_no bigint")
        op.execute(f"ALTER TABLE {table} ALTER commit_no SET DEFAULT pg_current_xact_id()::text::bigint")
        return
    op.add_column(table, sa.Column("commit_no", sa.BigInteger(), nullable=True))
    # One writer at a time: a count is the order of commits. It never goes back, whatever is deleted or vacuumed.
    op.execute(_COUNT.format(table=table))


_COUNT = """
    CREATE TRIGGER {table}_commit_no AFTER INSERT ON {table} FOR EACH ROW BEGIN
        INSERT INTO digests (name, seq) VALUES ('commits', 1) ON CONFLICT (name) DO UPDATE SET seq = seq + 1;
        UPDATE {table} SET commit_no = (SELECT seq FROM digests WHERE name = 'commits') WHERE id = NEW.id;
    END
"""


def _make_indexes() -> None:
    """PostgreSQL: without a lock that writers would wait for. Each may be there in part from a run that broke off."""
    if op.get_bind().dialect.name == "sqlite":
        for name, (table, columns) in _INDEXES.items():
            op.create_index(name, table, columns, **_condition(columns))
        return
    with op.get_context().autocommit_block():
        for name, (table, columns) in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, table, columns, postgresql_concurrently=True, **_condition(columns))


def _condition(columns: list[str]) -> dict[str, Any]:
    if "commit_no" not in columns:
        return {}
    present = sa.text("commit_no IS NOT NULL")
    return {"postgresql_where": present, "sqlite_where": present}


def _make_tables() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("types", JSON, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Boolean(), nullable=False),
        sa.Column("residency", sa.Text(), nullable=True),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("secrets", JSON, nullable=False),
        sa.Column("disabled_because", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_index("webhook_endpoints_by_organization", "webhook_endpoints", ["organization", "id"])
    op.create_table(
        "feed_targets",
        sa.Column("channel", sa.Text(), primary_key=True),
        sa.Column("target_id", sa.Text(), primary_key=True),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", ID, primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("last_at", TIME, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
    )
    op.create_index("deliveries_once", "deliveries", ["target_id", "event_id"], unique=True)
    op.create_index("deliveries_by_target", "deliveries", ["target_id", "id"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "deliveries_due", "deliveries", ["target_id", "next_at"], postgresql_where=pending, sqlite_where=pending
    )
