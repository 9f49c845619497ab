"""Views: what is kept apart for speed, seen as one. The newest migration that touches a view holds its definition.

`all_jobs` is a job with its present state, open or finished. `all_attempts` are the ended attempts and those in flight.
`model_cost_logs` is the cost line of each ended attempt, with the price at its date.
"""

from typing import Any

import sqlalchemy as sa

from synthralos.store.sql.types import Id, JsonText, Money, UtcTime

_views = sa.MetaData()


def _view(name: str, **columns: Any) -> sa.Table:
    return sa.Table(name, _views, *(sa.Column(column, kind) for column, kind in columns.items()))


_TOKENS = {
    f"{kind}_tokens": sa.Integer for kind in ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")
}  # fmt: skip

all_jobs = _view(
    "all_jobs",
    id=Id,
    organization=sa.Text,
    workspace=sa.Text,
    user_id=sa.Text,
    account_plan=sa.Text,
    lane=sa.Text,
    state=sa.Text,
    stage=sa.Text,
    trace_id=sa.Text,
    given_trace_id=sa.Text,
    parent_span_id=sa.Text,
    run_id=sa.Text,
    model=sa.Text,
    request=JsonText,
    constraints=JsonText,
    metadata=JsonText,
    worker_id=Id,
    claim_no=sa.Integer,
    attempts=sa.Integer,
    retry_base=sa.Integer,
    losses=sa.Integer,
    plan_key=sa.Text,
    plan_cursor=sa.Integer,
    verdict=JsonText,
    failure=JsonText,
    result=JsonText,
    spans=sa.Text,
    created_at=UtcTime,
    notified_at=UtcTime,
    run_at=UtcTime,
    deadline=UtcTime,
    finished_at=UtcTime,
    analyzed_at=UtcTime,
    api_key_id=Id,
)

all_attempts = _view(
    "all_attempts",
    job_id=Id,
    attempt_no=sa.Integer,
    worker_id=Id,
    claim_no=sa.Integer,
    deployment=sa.Text,
    provider=sa.Text,
    model=sa.Text,
    region=sa.Text,
    outcome=sa.Text,
    billed=sa.Text,
    late=sa.Boolean,
    failure=JsonText,
    provider_model=sa.Text,
    provider_request_id=sa.Text,
    service_tier=sa.Text,
    **_TOKENS,
    reserved_picousd=Money,
    cost_picousd=Money,
    seconds=sa.Float,
    started_at=UtcTime,
    ended_at=UtcTime,
    credential=sa.Text,
)

model_cost_logs = _view(
    "model_cost_logs",
    job_id=Id,
    attempt_no=sa.Integer,
    organization=sa.Text,
    workspace=sa.Text,
    user_id=sa.Text,
    trace_id=sa.Text,
    deployment=sa.Text,
    model=sa.Text,
    billed=sa.Text,
    service_tier=sa.Text,
    **_TOKENS,
    price=JsonText,
    cost_picousd=Money,
    logged_at=UtcTime,
)
