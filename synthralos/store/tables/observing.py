"""What is known of finished jobs at a glance, and sums of it: filled by the leader, so that nobody counts history.

All of it follows from other tables. Nothing here is written in a job's own transactions.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR

from synthralos.store.sql.types import Id, Json, Money, UtcTime
from synthralos.store.tables.base import metadata, text

digests = sa.Table(
    "digests",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", UtcTime),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("until", UtcTime),
)
"""How far the leader has come. `finished` and `late` go by the time `at` which jobs finished; `finished` also has the
last `seq` that it gave. `texts` goes by `seq`, and tells by `until` when the last of those finished."""

trace_facts = sa.Table(
    "trace_facts",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    text("organization"),
    text("workspace"),
    text("user_id", null=True),
    text("trace_id", null=True),
    text("run_id", null=True),
    text("model"),
    text("lane"),
    text("state"),
    text("deployment"),
    text("failure_class"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("wait_seconds", sa.Float),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_picousd", Money, nullable=False),
    sa.Column("cost_known", sa.Boolean, nullable=False),
    sa.Index("trace_facts_by_seq", "seq", unique=True),
    sa.Index("trace_facts_by_organization", "organization", "job_id"),
    sa.Index("trace_facts_by_organization_seq", "organization", "seq"),
    sa.Index("trace_facts_by_cost", "cost_picousd", "job_id"),
    sa.Index("trace_facts_by_seconds", "seconds", "job_id"),
)
"""`seq` counts them in the order in which they were found. `trace_id` as in `jobs`."""

trace_texts = sa.Table(
    "trace_texts",
    sa.MetaData(),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("document", TSVECTOR().with_variant(sa.Text(), "sqlite"), nullable=False),
)
"""The words of jobs for full-text search, by the `seq` of their facts. On SQLite it is a virtual table of FTS5, whose
rowid is `seq`; so it is in no MetaData that compares tables."""

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("score", sa.Float),
    text("comment", null=True),
    text("created_by"),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("feedback_by_label", "label", "job_id"),
)
"""What people and programs said of jobs. It goes with its job."""

STAGE_SUMS = ("jobs", "visits", "failed")
SUMS = ("jobs", "calls", "input_tokens", "output_tokens", "unknown_cost_jobs")


def _key(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


job_sums = sa.Table(
    "job_sums",
    metadata,
    sa.Column("span", sa.Text, primary_key=True),
    sa.Column("since", UtcTime, primary_key=True),
    *_key("organization", "workspace", "model", "deployment", "state", "failure_class"),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
    sa.Column("cost_picousd", Money, nullable=False),
    sa.Column("seconds", Json, nullable=False),
    sa.Column("waits", Json, nullable=False),
    sa.Index("job_sums_by_organization", "organization", "span", "since"),
)
"""Finished jobs by minute, hour and day. Organization and workspace "" are the sums of all of them together. `seconds`
and `waits` are histograms: counts by the number of their bucket."""

stage_sums = sa.Table(
    "stage_sums",
    metadata,
    sa.Column("span", sa.Text, primary_key=True),
    sa.Column("since", UtcTime, primary_key=True),
    *_key("organization", "workspace", "stage"),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in STAGE_SUMS),
    sa.Column("total_seconds", sa.Float, nullable=False),
    sa.Column("seconds", Json, nullable=False),
    sa.Index("stage_sums_by_organization", "organization", "span", "since"),
)
"""What finished jobs did at the stages, by the same times and for the same tenants as `job_sums`."""

error_sums = sa.Table(
    "error_sums",
    metadata,
    sa.Column("since", UtcTime, primary_key=True),
    *_key("organization", "workspace", "failure_class", "deployment", "fingerprint"),
    text("message"),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_at", UtcTime, nullable=False),
    sa.Column("last_at", UtcTime, nullable=False),
    sa.Column("jobs", Json, nullable=False),
    sa.Index("error_sums_by_organization", "organization", "since"),
)
"""Failures of finished jobs by hour; organization "" is all of them together. `jobs` are the ids of the last ones."""
