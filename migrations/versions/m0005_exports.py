"""Exports are claimed and put off, traces are read in their order, processes say which release they are of"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import TIME

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With defaults that the release before can live with: it writes these rows without the new columns.
    op.add_column("export_backlog", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("export_backlog", sa.Column("next_at", TIME, nullable=True))
    op.add_column("processes", sa.Column("release", sa.Text(), nullable=True))
    _index_traces("trace_id", "id")


def downgrade() -> None:
    _index_traces("trace_id")
    with op.batch_alter_table("processes") as processes:
        processes.drop_column("release")
    with op.batch_alter_table("export_backlog") as backlog:
        backlog.drop_column("next_at")
        backlog.drop_column("tries")


def _index_traces(*columns: str) -> None:
    given = sa.text("trace_id IS NOT NULL")
    op.drop_index("jobs_by_trace")
    op.create_index("jobs_by_trace", "jobs", list(columns), postgresql_where=given, sqlite_where=given)
