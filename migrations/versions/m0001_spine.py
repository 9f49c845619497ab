"""The spine: jobs, the ledger, timelines, keys and processes"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
MONEY = sa.BigInteger()
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    create_job_tables()
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "event_logs",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_logs_by_job", "event_logs", ["job_id", "id"], unique=False)
    op.create_index("event_logs_by_organization", "event_logs", ["organization", "id"], unique=False)
    op.create_table(
        "export_backlog",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("destination", "job_id"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("job_ids", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("organization", "workspace", "key"),
    )
    op.create_index("idempotency_keys_by_time", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "leaders",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("holder", ID, nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("role"),
    )
    op.create_table(
        "organizations",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "processes",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("stages", JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "plans",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def create_job_tables() -> None:
    """Those that revision 0002 replaces."""
    op.create_table(
        "attempts",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("claim_no", sa.Integer(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("billed", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("failure", JSON, nullable=True),
        sa.Column("provider_model", sa.Text(), nullable=True),
        sa.Column("provider_request_id", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("reserved_picousd", MONEY, nullable=True),
        sa.Column("cost_picousd", MONEY, nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("job_id", "attempt_no"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("organization_plan", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("parent_span_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("request", JSON, nullable=False),
        sa.Column("constraints", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("worker_id", ID, nullable=True),
        sa.Column("claim_no", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_base", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("verdict", JSON, nullable=True),
        sa.Column("plan_key", sa.Text(), nullable=True),
        sa.Column("plan_cursor", sa.Integer(), nullable=True),
        sa.Column("failure", JSON, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("rung_at", TIME, nullable=False),
        sa.Column("run_at", TIME, nullable=True),
        sa.Column("deadline", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("analyzed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("jobs_by_organization", "jobs", ["organization", "id"], unique=False)
    op.create_index(
        "jobs_by_run",
        "jobs",
        ["run_id", "id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NOT NULL"),
        sqlite_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index("jobs_by_trace", "jobs", ["trace_id"], unique=False)
    op.create_index(
        "jobs_by_user",
        "jobs",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("user_id IS NOT NULL"),
        sqlite_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index("jobs_by_workspace", "jobs", ["organization", "workspace", "id"], unique=False)
    op.create_index(
        "jobs_open",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "jobs_parked",
        "jobs",
        ["run_at"],
        unique=False,
        postgresql_where=sa.text("run_at IS NOT NULL"),
        sqlite_where=sa.text("run_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_to_analyze",
        "jobs",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL AND analyzed_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NOT NULL AND analyzed_at IS NULL"),
    )
    op.create_index(
        "jobs_with_deadline",
        "jobs",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("deadline IS NOT NULL AND finished_at IS NULL"),
        sqlite_where=sa.text("deadline IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_table(
        "model_cost_logs",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("billed", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("price", JSON, nullable=True),
        sa.Column("cost_picousd", MONEY, nullable=True),
        sa.Column("logged_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "attempt_no"),
    )
    op.create_index("model_cost_logs_by_time", "model_cost_logs", ["organization", "logged_at"], unique=False)
    op.create_table(
        "spans",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("span_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "span_id"),
    )


def downgrade() -> None:
    op.drop_table("spans")
    op.drop_table("plans")
    op.drop_table("processes")
    op.drop_table("organizations")
    op.drop_table("model_cost_logs")
    op.drop_table("leaders")
    op.drop_table("jobs")
    op.drop_table("idempotency_keys")
    op.drop_table("export_backlog")
    op.drop_table("event_logs")
    op.drop_table("attempts")
    op.drop_table("api_keys")
