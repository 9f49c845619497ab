"""Every metric that a process of ours may show: its name, its kind, its labels, who shows it, and what it says.

This table is the contract: docs/operations.md is generated from it, and nothing else can be counted. No label holds a
tenant, a job, or anything else that grows with use.
"""

from dataclasses import dataclass
from enum import StrEnum

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CALL_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
_TOKENS = tuple(4.0**power for power in range(14))
_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Kind(StrEnum):
    """What Prometheus takes a metric for."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `shown_by` are the processes that have it; `buckets` are a histogram's upper bounds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    shown_by: str
    meaning: str
    buckets: tuple[float, ...] = ()


def _counter(name: str, labels: str, shown_by: str, meaning: str) -> Family:
    return Family(f"synthralos_{name}_total", Kind.COUNTER, tuple(labels.split()), shown_by, meaning)


def _gauge(name: str, labels: str, shown_by: str, meaning: str) -> Family:
    return Family(f"synthralos_{name}", Kind.GAUGE, tuple(labels.split()), shown_by, meaning)


def _histogram(name: str, labels: str, shown_by: str, meaning: str, buckets: tuple[float, ...]) -> Family:
    return Family(f"synthralos_{name}", Kind.HISTOGRAM, tuple(labels.split()), shown_by, meaning, buckets)


BUILD = _gauge("build_info", "version python process", "all", "1; the labels say which version and kind this is")
OUTAGE = _gauge("outage_seconds", "subject", "all", "for how long the database, the broker … does not work")
CONFIG_VERSION = _gauge("config_version", "", "all", "changes of flags, limits and deployments that are in force here")
CATALOG_DEPLOYMENTS = _gauge("catalog_deployments", "", "all", "deployments of the catalog that is in force here")
POOL = _gauge("database_connections", "pool state", "all", "connections of a pool: in_use, idle, most")
POOL_WAITS = _counter("database_pool_waits", "pool", "all", "times that all connections of a pool were in use")
POOL_WAIT_SECONDS = _counter("database_pool_wait_seconds", "pool", "all", "seconds waited for a connection of a pool")
FLUSH_SECONDS = _histogram("commit_seconds", "commit", "API, worker", "duration of a group commit's write", _SECONDS)
FLUSH_ITEMS = _histogram("commit_items", "commit", "API, worker", "items that one write took", _ITEMS)
FLUSH_FAILURES = _counter("commit_failures", "commit", "API, worker", "writes that failed and are tried again")
DOORBELL_IDS = _counter("doorbell_ids", "outcome", "all", "job ids that were rung or, for later, dropped")
DOORBELL_MESSAGES = _counter("doorbell_messages", "", "all", "messages that the broker took")
DOORBELL_FAILURES = _counter("doorbell_failures", "", "all", "tries to publish that failed")
DIRECT_RINGS = _counter("direct_rings", "", "API, scheduler", "job ids that were rung for by the database itself")
SECOND_RINGS = _counter(
    "second_rings", "", "API, scheduler", "job ids rung over the broker, as nobody came for their direct ring in time"
)
DOORBELL_PENDING = _gauge("doorbell_pending_ids", "", "all", "job ids that the broker does not have yet")

REQUESTS = _histogram(
    "http_request_seconds",
    "method route status",
    "API",
    "duration of a request; its count: requests",
    _SECONDS,
)
ACCEPTED = _counter("jobs_accepted", "lane", "API, scheduler", "jobs that were stored: answered 202, or scheduled")
WAITED_FOR = _gauge("jobs_waited_for", "", "API", "jobs whose end a client waits for")

ENDED = _counter("jobs_ended", "lane state", "API, worker, scheduler", "jobs that came to an end, by their state")
SETTLED = _counter(
    "jobs_settled", "stage lane transition", "worker", "what workers wrote of jobs, by the stage that each was at"
)
JOB_SECONDS = _histogram("job_seconds", "lane", "worker", "from a job's acceptance to its end", _CALL_SECONDS)
CLAIMS_LOST = _counter("claims_lost", "", "worker", "jobs of which the worker heard on writing that they are another's")
ATTEMPTS = _counter(
    "attempts", "provider deployment outcome failure", "worker", "provider calls on the books, by their end"
)
CALL_SECONDS = _histogram(
    "provider_seconds", "provider deployment", "worker", "duration of a provider call", _CALL_SECONDS
)
FIRST_TOKEN_SECONDS = _histogram(
    "first_token_seconds",
    "provider deployment",
    "worker",
    "from a provider call to the first delta of its answer, of calls that are streamed",
    _SECONDS,
)
TOKENS = _counter(
    "tokens",
    "provider deployment kind",
    "worker",
    "tokens: input (with cached, cache_write), output (with reasoning)",
)
CALL_TOKENS = _histogram(
    "call_tokens", "provider deployment kind", "worker", "tokens of a call: input, output", _TOKENS
)
COST = _counter("cost_usd", "provider deployment", "worker", "cost of calls in USD, rounded; the ledger has it exactly")
UNPRICED = _counter("attempts_unpriced", "provider deployment", "worker", "calls whose cost is not known")
JOINT_CALLS = _counter(
    "joint_calls",
    "deployment outcome",
    "worker",
    "calls for vectors that jobs shared: answered, failed, or split (refused, and made again for each job alone)",
)
JOINT_JOBS = _counter("joint_jobs", "deployment outcome", "worker", "jobs of these calls")
SHARED_ANSWERS = _counter(
    "shared_answers", "outcome", "worker", "jobs that waited for the answer to an equal one: answered, or went on alone"
)
HEDGES = _counter(
    "hedged_calls",
    "outcome",
    "worker",
    "calls made beside one that is slow: won (its answer came first), lost, none (neither was answered), refused "
    "(by a budget, or the job was lost)",
)
SLOTS = _gauge("slots", "state", "worker", "jobs under way (used), and how many there may be (most)")
FLIGHT_BYTES = _gauge("flight_bytes", "state", "worker", "bytes of requests under way (used, most)")
IN_FLIGHT = _gauge("calls_in_flight", "", "worker", "provider calls that run now")
BREAKERS = _gauge("breakers", "state", "worker", "circuit breakers that are open or half open")
BUDGET_ALERTS = _counter(
    "budget_alerts", "percent", "worker", "thresholds of budgets that calls came to, each once a period"
)
CREDENTIAL_REFUSALS = _counter(
    "credential_refusals", "credential", "worker", "times that a provider key was taken out, as it was refused"
)
QUOTA_WAITING = _gauge("quota_waiting_jobs", "", "worker", "jobs that wait in a worker for their turn by a quota")
QUOTA_CLOSED = _gauge(
    "quotas_closed", "", "worker", "quotas of providers that let nothing through, as the worker knows"
)
QUOTA_CLOSURES = _counter(
    "quota_closures", "", "worker", "refusals by providers that closed a quota, or kept it closed"
)
HEARTBEAT_AGE = _gauge(
    "heartbeat_age_seconds", "", "worker, exporter", "seconds since the last heartbeat that was stored"
)
FINDINGS = _counter("findings", "guard decision", "worker", "what guards found in jobs, by what it asks for")
RATE_LIMITED = _counter(
    "rate_limited_jobs", "decision", "worker", "answers to jobs with a limit: admitted, waits, refused, uncounted"
)
VALIDATED = _counter(
    "guardrails_texts",
    "side verdict",
    "worker",
    "texts that guardrails-ai was shown, by its verdict; unseen: it was not",
)
EMBEDDED = _counter(
    "embedded_prompts",
    "how",
    "worker",
    "prompts placed by an endpoint or an encoder; here, since it was unanswered, or since they are kept",
)
SECOND_LOOKS = _counter(
    "second_looks",
    "outcome",
    "worker",
    "prompts that the abuse model was not sure of, by a second look: agreed, raised, cleared, unseen (no time)",
)
EXPORTED = _counter(
    "exported_traces",
    "destination outcome",
    "worker, exporter",
    "traces in shipments: accepted, refused (they come again), set_aside, withheld, switched_off, gone",
)
EXPORTS_HELD = _gauge("exports_held", "destination", "exporter", "1 where this exporter ships, 0 where another does")

METRICS_PUSHED = _counter("metrics_pushes", "outcome", "all", "requests of metrics by OTLP: accepted, refused, failed")

LEADS = _gauge("scheduler_leads", "", "scheduler", "1 where this scheduler leads")
SWEPT = _counter("swept_jobs", "move", "scheduler", "jobs that the sweeper moved: woken, expired, freed, rung_again")
RETENTION_REMOVED = _counter(
    "retention_removed", "kind", "scheduler", "rows that were beyond their time; of jobs, whole jobs"
)
FIRINGS = _counter("schedule_ticks", "outcome", "scheduler", "ticks: fired, waiting, skipped, missed, backfill")
FIRING_LATENESS = _histogram(
    "schedule_lateness_seconds", "", "scheduler", "from when a tick was due until its jobs were stored", _SECONDS
)
REPAIRS = _counter("repairs", "kind outcome", "scheduler", "repairs by StackStorm: started, and by how they ended")
REPAIR_SECONDS = _histogram(
    "repair_seconds", "kind", "scheduler", "from when StackStorm was asked for a repair until it ended", _CALL_SECONDS
)
STACKSTORM_SHUT = _gauge("stackstorm_shut", "", "scheduler", "1 while StackStorm gets no calls, as its breaker is open")
PROCESSES = _gauge("processes", "kind", "scheduler (leader)", "processes whose heartbeat is fresh")
QUEUE_JOBS = _gauge("queue_jobs", "stage lane", "scheduler (leader)", "queued jobs; 2000 means so many or more")
QUEUE_AGE = _gauge("queue_oldest_seconds", "stage lane", "scheduler (leader)", "how long the queue's head has waited")
PARKED_JOBS = _gauge("jobs_parked", "", "scheduler (leader)", "parked jobs; 2000 means so many or more")
BACKLOG_JOBS = _gauge("export_backlog", "destination", "scheduler (leader)", "traces to export; 2000: so many or more")
EXPORTS_ASIDE = _gauge(
    "exports_set_aside", "destination kind", "scheduler (leader)", "traces set aside: refused, withheld; up to 100000"
)
EXPORTS_STOPPED = _gauge(
    "exports_stopped", "destination", "scheduler (leader)", "1: it refuses our key, or is not there; 0 otherwise"
)
EXPORTS_DROPPED = _counter(
    "exports_dropped", "destination reason", "scheduler", "traces that a destination never gets: too_old, too_many"
)
BACKLOG_AGE = _gauge("export_oldest_seconds", "destination", "scheduler (leader)", "age of the oldest trace to export")
MESSAGES = _gauge("broker_messages", "stage lane", "scheduler (leader)", "messages that wait in the broker")
DELIVERIES = _counter(
    "deliveries", "channel outcome", "scheduler (leader)", "tries of events: delivered, failed, refused; set_aside"
)
FEED_LAG = _gauge(
    "feed_lag_seconds", "channel", "scheduler (leader)", "for how long a channel has not read the event feed to its end"
)
TARGETS_FAILING = _gauge(
    "delivery_targets_failing", "channel", "scheduler (leader)", "targets of events that did not take the last one"
)
RETENTION_LAG = _gauge(
    "retention_lag_seconds", "kind", "scheduler (leader)", "by how much the oldest of a kind is beyond its time"
)
SAMPLE_AGE = _gauge("sample_age_seconds", "", "scheduler (leader)", "age of the leader's figures")

INCIDENTS = _gauge("incidents", "kind", "scheduler (leader)", "incidents that are not over")
INCIDENTS_OPENED = _counter("incidents_opened", "kind", "scheduler", "incidents that the monitor opened")

FAMILIES = tuple(value for value in dict(vars()).values() if isinstance(value, Family))
