"""Retention by organization, the books of jobs that are gone, and erasures"""

import sqlalchemy as sa
from alembic import op

from migrations.statement_triggers import by_row, by_statement
from migrations.versions.m0001_spine import ID, JSON, TIME
from migrations.versions.m0013_prices_used import NEW_VIEWS

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_INDEXES = {
    "imported_jobs_by_time": ("imported_jobs", "imported_at"),
    "run_forks_by_time": ("run_forks", "created_at"),
    "run_caps_by_time": ("run_caps", "changed_at"),
}
_LIVE = NEW_VIEWS["model_cost_logs"]
_KEPT = _LIVE.replace("JOIN jobs j ON", "JOIN job_accounts j ON")


def upgrade() -> None:
    op.create_table(
        "organization_retention",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("days", JSON, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "job_accounts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("user_id", "trace_id", "run_id")),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("api_key_id", ID, nullable=True),
    )
    op.create_index("job_accounts_by_organization", "job_accounts", ["organization", "id"])
    op.create_table(
        "retention_places",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("at", TIME, nullable=True),
    )
    op.create_table(
        "retention_left",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("finished_at", TIME, nullable=False),
    )
    _create_erasures()
    for name, (table, column) in _INDEXES.items():
        op.create_index(name, table, [column])
    _replace_view(f"{_LIVE} UNION ALL {_KEPT}")
    by_statement(op.get_bind())


def downgrade() -> None:
    by_row(op.get_bind())
    _replace_view(_LIVE)
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
    for table in ("erasures", "retention_left", "retention_places", "job_accounts", "organization_retention"):
        op.drop_table(table)


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("workspace", "user_id")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("open_jobs", "pseudonym", "state")),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("place", JSON, nullable=True),
        sa.Column("counts", JSON, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("created_by", "reason")),
        *(sa.Column(name, TIME, nullable=False) for name in ("created_at", "changed_at")),
        sa.Column("finished_at", TIME, nullable=True),
    )
    running = sa.text("finished_at IS NULL")
    op.create_index("erasures_running", "erasures", ["id"], postgresql_where=running, sqlite_where=running)
    op.create_index("erasures_by_organization", "erasures", ["organization", "id"])


def _replace_view(query: str) -> None:
    op.execute("DROP VIEW model_cost_logs")
    op.execute(f"CREATE VIEW model_cost_logs AS {query}")
