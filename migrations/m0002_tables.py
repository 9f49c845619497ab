"""Revision 0002's tables, as they were made then."""

from typing import Any

import sqlalchemy as sa
from alembic import op

ID = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")

_OPEN_STORAGE = {
    "fillfactor": 40,
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 20000,
    "autovacuum_vacuum_cost_delay": 0,
}
_INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("jobs_by_workspace", "jobs", ["organization", "workspace", "id"], None),
    ("jobs_by_organization", "jobs", ["organization", "id"], None),
    ("jobs_by_user", "jobs", ["user_id", "id"], "user_id IS NOT NULL"),
    ("jobs_by_trace", "jobs", ["trace_id"], "trace_id IS NOT NULL"),
    ("jobs_by_run", "jobs", ["run_id", "id"], "run_id IS NOT NULL"),
    ("open_jobs_queued", "open_jobs", ["stage", "lane", "notified_at"], "state = 'queued'"),
    ("open_jobs_by_worker", "open_jobs", ["worker_id"], "state = 'active'"),
    ("open_jobs_parked", "open_jobs", ["run_at"], "run_at IS NOT NULL"),
    ("open_jobs_with_deadline", "open_jobs", ["deadline"], "deadline IS NOT NULL"),
    ("results_to_analyze", "results", ["finished_at"], "analyzed_at IS NULL"),
)
TABLES = ("jobs", "open_jobs", "results", "catalog_entries", "attempts")


def create_tables() -> None:
    """All but their indexes."""
    op.create_table(
        "jobs",
        sa.Column("id", ID, primary_key=True),
        *_text("organization", "workspace"),
        *_text("user_id", null=True),
        *_text("account_plan", "lane"),
        *_text("trace_id", "parent_span_id", "run_id", null=True),
        *_text("model", "request"),
        *_text("constraints", "metadata", null=True),
        sa.Column("deadline", TIME),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "open_jobs",
        sa.Column("id", ID, primary_key=True),
        *_text("state", "stage", "lane"),
        sa.Column("worker_id", ID),
        *_counts("claim_no", "attempts", "retry_base", "losses", "rings"),
        sa.Column("in_flight", sa.Boolean(), nullable=False),
        *_text("entry_key", null=True),
        sa.Column("reserved_picousd", sa.BigInteger()),
        sa.Column("started_at", TIME),
        *_plan(),
        *_text("verdict", "failure", "constraints", "spans", null=True),
        sa.Column("notified_at", TIME, nullable=False),
        sa.Column("run_at", TIME),
        sa.Column("deadline", TIME),
        postgresql_with=_OPEN_STORAGE,
    )
    op.create_table(
        "results",
        sa.Column("job_id", ID, primary_key=True),
        *_text("state"),
        *_counts("claim_no", "attempts", "retry_base", "losses"),
        *_plan(),
        *_text("verdict", "failure", "result", "constraints", "spans", null=True),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("analyzed_at", TIME),
    )
    op.create_table(
        "catalog_entries",
        sa.Column("key", sa.Text(), primary_key=True),
        *_text("deployment", "provider", "model", "upstream_model", "region"),
        *_text("price", null=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt_no", sa.Integer(), primary_key=True),
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("claim_no", sa.Integer(), nullable=False),
        *_text("entry_key", "outcome", "billed"),
        sa.Column("late", sa.Boolean(), nullable=False),
        *_text("failure", "provider_model", "provider_request_id", null=True),
        *(sa.Column(f"{kind}_tokens", sa.Integer()) for kind in ("input", "cached", "cache_write", "output")),
        sa.Column("reasoning_tokens", sa.Integer()),
        sa.Column("reserved_picousd", sa.BigInteger()),
        sa.Column("cost_picousd", sa.BigInteger()),
        sa.Column("seconds", sa.Float()),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=False),
    )


def create_indexes() -> None:
    """The indexes of `create_tables`, made when the rows are in."""
    for name, table, columns, condition in _INDEXES:
        where: Any = {} if condition is None else {f"{d}_where": sa.text(condition) for d in ("postgresql", "sqlite")}
        op.create_index(name, table, columns, **where)


def _text(*names: str, null: bool = False) -> "list[sa.Column[Any]]":
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _counts(*names: str) -> "list[sa.Column[Any]]":
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _plan() -> "list[sa.Column[Any]]":
    return [sa.Column("plan_key", sa.Text()), sa.Column("plan_cursor", sa.Integer())]
