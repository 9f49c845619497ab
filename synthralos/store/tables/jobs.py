"""Jobs. Their columns are explained in docs/internals.md; migrations/ makes them.

A job's row in `jobs` is written once. All that moves is in `open_jobs`, which is narrow and empties itself: a job that
ends leaves it for `results` in the same statement. So every job is in exactly one of the two.
"""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, JsonText, Money, UtcTime
from synthralos.store.tables.base import BY_TIME, metadata, number, text, where

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("account_plan"),
    text("lane"),
    text("trace_id", null=True),
    text("parent_span_id", null=True),
    text("run_id", null=True),
    text("model"),
    sa.Column("request", JsonText, nullable=False),
    sa.Column("constraints", JsonText),
    sa.Column("metadata", JsonText),
    sa.Column("deadline", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("api_key_id", Id),
    sa.Index("jobs_by_workspace", "organization", "workspace", "id"),
    sa.Index("jobs_by_organization", "organization", "id"),
    sa.Index("jobs_by_user", "user_id", "id", **where("user_id IS NOT NULL")),
    sa.Index("jobs_by_trace", "trace_id", "id", **where("trace_id IS NOT NULL")),
    sa.Index("jobs_by_run", "run_id", "id", **where("run_id IS NOT NULL")),
    sa.Index("jobs_by_api_key", "api_key_id", "id", **where("api_key_id IS NOT NULL")),
)
"""`trace_id` is NULL where it is the job's own, derived from its id. `api_key_id` is the key that submitted the job;
NULL where a schedule did, and for jobs from before it was kept."""

open_jobs = sa.Table(
    "open_jobs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("state"),
    text("stage"),
    text("lane"),
    sa.Column("worker_id", Id),
    number("claim_no"),
    number("attempts"),
    number("retry_base"),
    number("losses"),
    number("rings"),
    sa.Column("in_flight", sa.Boolean, nullable=False, default=False),
    text("entry_key", null=True),
    sa.Column("reserved_picousd", Money),
    sa.Column("started_at", UtcTime),
    text("plan_key", null=True),
    sa.Column("plan_cursor", sa.Integer),
    sa.Column("verdict", JsonText),
    sa.Column("failure", JsonText),
    sa.Column("constraints", JsonText),
    text("spans", null=True),
    sa.Column("notified_at", UtcTime, nullable=False),
    sa.Column("run_at", UtcTime),
    sa.Column("deadline", UtcTime),
    text("line", null=True),
    sa.Column("line_tokens", sa.Integer),
    sa.Index("open_jobs_queued", "stage", "lane", "notified_at", **where("state = 'queued'")),
    sa.Index("open_jobs_by_worker", "worker_id", **where("state = 'active'")),
    sa.Index("open_jobs_parked", "run_at", **where("run_at IS NOT NULL")),
    sa.Index("open_jobs_with_deadline", "deadline", **where("deadline IS NOT NULL")),
    sa.Index("open_jobs_in_line", "line", "id", **where("line IS NOT NULL")),
    # A queue: its rows come and go, so that room within the page and frequent vacuuming keep it as small as it is.
    postgresql_with={
        "fillfactor": 40,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 20000,
        "autovacuum_vacuum_cost_delay": 0,
    },
)
"""`in_flight`: the attempt number `attempts` has begun and not ended; `entry_key`, `reserved_picousd` and `started_at`
are of the newest attempt. `rings` counts how often it was rung again. `constraints` replace the job's own. A job that
was not rung yet waits in the `line` of its organization; `line_tokens` are those that it is expected to take."""

results = sa.Table(
    "results",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    text("state"),
    number("claim_no"),
    number("attempts"),
    number("retry_base"),
    number("losses"),
    text("plan_key", null=True),
    sa.Column("plan_cursor", sa.Integer),
    sa.Column("verdict", JsonText),
    sa.Column("failure", JsonText),
    sa.Column("result", JsonText),
    sa.Column("constraints", JsonText),
    text("spans", null=True),
    sa.Column("finished_at", UtcTime, nullable=False),
    sa.Column("analyzed_at", UtcTime),
    sa.Index("results_failed", "job_id", **where("state = 'failed'")),
    sa.Index("results_by_finished_at", "finished_at", **BY_TIME),
    sa.Index("results_to_analyze", "finished_at", **where("analyzed_at IS NULL")),
)

CARRIED = ("retry_base", "losses", "plan_key", "plan_cursor", "verdict", "failure", "constraints", "spans")
"""What a job takes along between `open_jobs` and `results` besides the numbers of its claim and its attempts."""

routing_plans = sa.Table(
    "routing_plans",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("body", JsonText, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    text("fingerprint"),
    sa.Column("job_ids", Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("idempotency_keys_by_time", "created_at"),
)
