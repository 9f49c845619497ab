"""Revision 0002's views, as they were made then; the same text on both databases."""

TRACE_ID = "coalesce(j.trace_id, replace(CAST(j.id AS text), '-', ''))"

VIEWS = {
    "all_jobs": f"""
SELECT j.id, j.organization, j.workspace, j.user_id, j.account_plan, j.lane,
  coalesce(o.state, r.state) AS state, coalesce(o.stage, 'analyze') AS stage,
  {TRACE_ID} AS trace_id, j.trace_id AS given_trace_id, j.parent_span_id, j.run_id, j.model, j.request,
  coalesce(o.constraints, r.constraints, j.constraints) AS constraints, j.metadata, o.worker_id,
  coalesce(o.claim_no, r.claim_no) AS claim_no, coalesce(o.attempts, r.attempts) AS attempts,
  coalesce(o.retry_base, r.retry_base) AS retry_base, coalesce(o.losses, r.losses) AS losses,
  coalesce(o.plan_key, r.plan_key) AS plan_key, coalesce(o.plan_cursor, r.plan_cursor) AS plan_cursor,
  coalesce(o.verdict, r.verdict) AS verdict, coalesce(o.failure, r.failure) AS failure, r.result,
  coalesce(o.spans, r.spans) AS spans, j.created_at, o.notified_at, o.run_at,
  CASE WHEN o.id IS NULL THEN j.deadline ELSE o.deadline END AS deadline, r.finished_at, r.analyzed_at
FROM jobs j LEFT JOIN open_jobs o ON o.id = j.id LEFT JOIN results r ON r.job_id = j.id
""",
    "all_attempts": """
SELECT a.job_id, a.attempt_no, a.worker_id, a.claim_no, e.deployment, e.provider, e.model, e.region, a.outcome,
  a.billed, a.late, a.failure, a.provider_model, a.provider_request_id, a.input_tokens, a.cached_tokens,
  a.cache_write_tokens, a.output_tokens, a.reasoning_tokens, a.reserved_picousd, a.cost_picousd, a.seconds,
  a.started_at, a.ended_at
FROM attempts a JOIN catalog_entries e ON e.key = a.entry_key
UNION ALL
SELECT o.id, o.attempts, o.worker_id, o.claim_no, e.deployment, e.provider, e.model, e.region, 'open',
  NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, o.reserved_picousd, NULL, NULL, o.started_at, NULL
FROM open_jobs o JOIN catalog_entries e ON e.key = o.entry_key WHERE o.in_flight
""",
    "model_cost_logs": f"""
SELECT a.job_id, a.attempt_no, j.organization, j.workspace, j.user_id, {TRACE_ID} AS trace_id, e.deployment,
  coalesce(a.provider_model, e.upstream_model) AS model, a.billed, a.input_tokens, a.cached_tokens,
  a.cache_write_tokens, a.output_tokens, a.reasoning_tokens, e.price, a.cost_picousd, a.ended_at AS logged_at
FROM attempts a JOIN catalog_entries e ON e.key = a.entry_key JOIN jobs j ON j.id = a.job_id
""",
}
