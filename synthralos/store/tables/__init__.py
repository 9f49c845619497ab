"""The tables and the views over them. Their columns are explained in docs/internals.md; migrations/ makes them."""

from synthralos.store.tables.admin import api_keys, leaders, organizations, processes
from synthralos.store.tables.base import metadata
from synthralos.store.tables.breakers import breaker_changes, breakers
from synthralos.store.tables.budgets import budget_holds, budget_uses, budgets
from synthralos.store.tables.bulk import bulk_operations
from synthralos.store.tables.configuration import (
    aliases,
    audit_log,
    config_version,
    deployments,
    feature_flags,
    organization_limits,
    plan_limits,
    policy_matches,
    policy_sets,
    policy_simulations,
    policy_versions,
)
from synthralos.store.tables.costs import COUNTS, cost_adjustments, cost_periods, cost_sums
from synthralos.store.tables.exports import export_backlog, export_destinations, export_set_aside
from synthralos.store.tables.feed import deliveries, feed_targets, webhook_endpoints
from synthralos.store.tables.imports import imported_jobs
from synthralos.store.tables.incidents import baselines, incidents
from synthralos.store.tables.jobs import CARRIED, idempotency_keys, jobs, open_jobs, results, routing_plans
from synthralos.store.tables.ledger import attempts, catalog_entries
from synthralos.store.tables.logs import event_logs, happenings, prompt_similarity_logs
from synthralos.store.tables.observing import (
    STAGE_SUMS,
    SUMS,
    digests,
    error_sums,
    feedback,
    job_sums,
    stage_sums,
    trace_facts,
    trace_texts,
)
from synthralos.store.tables.quotas import quotas
from synthralos.store.tables.repairs import repairs
from synthralos.store.tables.retention import (
    erasures,
    job_accounts,
    organization_retention,
    retention_left,
    retention_places,
)
from synthralos.store.tables.runs import run_caps, run_forks
from synthralos.store.tables.schedules import backfills, firings, schedules
from synthralos.store.tables.streams import stream_chunks
from synthralos.store.tables.views import all_attempts, all_jobs, model_cost_logs
from synthralos.store.tables.waits import waits

__all__ = [
    "CARRIED",
    "COUNTS",
    "STAGE_SUMS",
    "SUMS",
    "aliases",
    "all_attempts",
    "all_jobs",
    "api_keys",
    "attempts",
    "audit_log",
    "backfills",
    "baselines",
    "breaker_changes",
    "breakers",
    "budget_holds",
    "budget_uses",
    "budgets",
    "bulk_operations",
    "catalog_entries",
    "config_version",
    "cost_adjustments",
    "cost_periods",
    "cost_sums",
    "deliveries",
    "deployments",
    "digests",
    "erasures",
    "error_sums",
    "event_logs",
    "export_backlog",
    "export_destinations",
    "export_set_aside",
    "feature_flags",
    "feed_targets",
    "feedback",
    "firings",
    "happenings",
    "idempotency_keys",
    "imported_jobs",
    "incidents",
    "job_accounts",
    "job_sums",
    "jobs",
    "leaders",
    "metadata",
    "model_cost_logs",
    "open_jobs",
    "organization_limits",
    "organization_retention",
    "organizations",
    "plan_limits",
    "policy_matches",
    "policy_sets",
    "policy_simulations",
    "policy_versions",
    "processes",
    "prompt_similarity_logs",
    "quotas",
    "repairs",
    "results",
    "retention_left",
    "retention_places",
    "routing_plans",
    "run_caps",
    "run_forks",
    "schedules",
    "stage_sums",
    "stream_chunks",
    "trace_facts",
    "trace_texts",
    "waits",
    "webhook_endpoints",
]
