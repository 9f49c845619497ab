"""The tables. Their columns are explained in docs/internals.md; migrations/ makes them.

`jobs` is written so that a claim and a start change no indexed column: on PostgreSQL they stay within the
page (HOT updates), and the indexes are touched when a job arrives and when it ends, not in between.
"""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, Money, UtcTime

metadata = sa.MetaData()

_HOT = {"fillfactor": 50}


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _tenant(*, user_null: bool = True) -> list[sa.Column[str]]:
    return [_text("organization"), _text("workspace"), _text("user_id", null=user_null)]


organizations = sa.Table(
    "organizations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _text("plan"),
    sa.Column("created_at", UtcTime, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("name"),
    _text("prefix"),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    _text("organization", null=True),
    _text("workspace", null=True),
    _text("user_id", null=True),
    _text("role"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("revoked_at", UtcTime),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    *_tenant(),
    _text("organization_plan"),
    _text("lane"),
    _text("state"),
    _text("stage"),
    _text("trace_id"),
    _text("parent_span_id", null=True),
    _text("run_id", null=True),
    _text("model"),
    sa.Column("request", Json, nullable=False),
    sa.Column("constraints", Json, nullable=False),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("worker_id", Id),
    sa.Column("claim_no", sa.Integer, nullable=False, default=0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("retry_base", sa.Integer, nullable=False, default=0),
    sa.Column("losses", sa.Integer, nullable=False, default=0),
    sa.Column("verdict", Json),
    _text("plan_key", null=True),
    sa.Column("plan_cursor", sa.Integer),
    sa.Column("failure", Json),
    sa.Column("result", Json),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("rung_at", UtcTime, nullable=False),
    sa.Column("run_at", UtcTime),
    sa.Column("deadline", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("analyzed_at", UtcTime),
    sa.Index("jobs_by_organization", "organization", "id"),
    sa.Index("jobs_by_workspace", "organization", "workspace", "id"),
    sa.Index(
        "jobs_by_user", "user_id", "id",
        postgresql_where=sa.text("user_id IS NOT NULL"), sqlite_where=sa.text("user_id IS NOT NULL"),
    ),
    sa.Index("jobs_by_trace", "trace_id"),
    sa.Index(
        "jobs_by_run", "run_id", "id",
        postgresql_where=sa.text("run_id IS NOT NULL"), sqlite_where=sa.text("run_id IS NOT NULL"),
    ),
    sa.Index(
        "jobs_open", "id",
        postgresql_where=sa.text("finished_at IS NULL"), sqlite_where=sa.text("finished_at IS NULL"),
    ),
    sa.Index(
        "jobs_parked", "run_at",
        postgresql_where=sa.text("run_at IS NOT NULL"), sqlite_where=sa.text("run_at IS NOT NULL"),
    ),
    sa.Index(
        "jobs_with_deadline", "deadline",
        postgresql_where=sa.text("deadline IS NOT NULL AND finished_at IS NULL"),
        sqlite_where=sa.text("deadline IS NOT NULL AND finished_at IS NULL"),
    ),
    sa.Index(
        "jobs_to_analyze", "finished_at",
        postgresql_where=sa.text("finished_at IS NOT NULL AND analyzed_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NOT NULL AND analyzed_at IS NULL"),
    ),
    postgresql_with=_HOT,
)  # fmt: skip

plans = sa.Table(
    "plans",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("body", Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("attempt_no", sa.Integer, primary_key=True),
    sa.Column("worker_id", Id, nullable=False),
    sa.Column("claim_no", sa.Integer, nullable=False),
    _text("deployment"),
    _text("provider"),
    _text("model"),
    _text("region"),
    _text("outcome"),
    _text("billed", null=True),
    sa.Column("late", sa.Boolean, nullable=False, default=False),
    sa.Column("failure", Json),
    _text("provider_model", null=True),
    _text("provider_request_id", null=True),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cache_write_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reasoning_tokens", sa.Integer),
    sa.Column("reserved_picousd", Money),
    sa.Column("cost_picousd", Money),
    sa.Column("seconds", sa.Float),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    postgresql_with=_HOT,
)  # fmt: skip

model_cost_logs = sa.Table(
    "model_cost_logs",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("attempt_no", sa.Integer, primary_key=True),
    *_tenant(),
    _text("trace_id"),
    _text("deployment"),
    _text("model"),
    _text("billed"),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cache_write_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reasoning_tokens", sa.Integer),
    sa.Column("price", Json),
    sa.Column("cost_picousd", Money),
    sa.Column("logged_at", UtcTime, nullable=False),
    sa.Index("model_cost_logs_by_time", "organization", "logged_at"),
)

spans = sa.Table(
    "spans",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("span_id", sa.Text, primary_key=True),
    _text("name"),
    _text("status"),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime, nullable=False),
    sa.Column("attributes", Json, nullable=False),
)

event_logs = sa.Table(
    "event_logs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("job_id", Id, nullable=False),
    _text("organization"),
    _text("kind"),
    _text("actor"),
    sa.Column("data", Json, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("event_logs_by_job", "job_id", "id"),
    sa.Index("event_logs_by_organization", "organization", "id"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    _text("fingerprint"),
    sa.Column("job_ids", Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("idempotency_keys_by_time", "created_at"),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("kind"),
    _text("host"),
    _text("boot"),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("stages", Json, nullable=False),
    _text("state"),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("heartbeat_at", UtcTime, nullable=False),
)

leaders = sa.Table(
    "leaders",
    metadata,
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("holder", Id, nullable=False),
    sa.Column("term", sa.Integer, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)

export_backlog = sa.Table(
    "export_backlog",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("since", UtcTime, nullable=False),
)
