"""The ledger: what was called, and what it cost. An attempt in flight is booked in `open_jobs`, its end here."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, JsonText, Money, UtcTime
from synthralos.store.tables.base import BY_TIME, metadata, text

catalog_entries = sa.Table(
    "catalog_entries",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    text("deployment"),
    text("provider"),
    text("model"),
    text("upstream_model"),
    text("region"),
    sa.Column("price", JsonText),
    text("residency", null=True),
    sa.Column("zero_retention", sa.Boolean),
    sa.Column("grounds", JsonText),
    sa.Column("created_at", UtcTime, nullable=False),
    text("credential", null=True),
)
"""Deployments as the catalog described and priced them when they were called, and the grounds of the calls, named by
their content. Without grounds: the call was made before they were kept. `credential` names the key of the calls."""

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("attempt_no", sa.Integer, primary_key=True),
    sa.Column("worker_id", Id, nullable=False),
    sa.Column("claim_no", sa.Integer, nullable=False),
    text("entry_key"),
    text("outcome"),
    text("billed"),
    sa.Column("late", sa.Boolean, nullable=False, default=False),
    sa.Column("failure", JsonText),
    text("provider_model", null=True),
    text("provider_request_id", null=True),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cache_write_tokens", sa.Integer),
    sa.Column("cache_write_1h_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reasoning_tokens", sa.Integer),
    sa.Column("reserved_picousd", Money),
    sa.Column("cost_picousd", Money),
    sa.Column("seconds", sa.Float),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime, nullable=False),
    text("service_tier", null=True),
    sa.Column("price", JsonText),
    sa.Index("attempts_by_ended_at", "ended_at", **BY_TIME),
)
"""`service_tier` is null for the standard one, `price` where a call was counted with that of its entry."""
