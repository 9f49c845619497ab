"""A million open jobs: what they cost while they wait, and what they cost the jobs that run beside them."""

import time
from contextlib import ExitStack

import psycopg

from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import BenchmarkError, cpu_table, figure, say
from benchmarks.system import Shape, System, running
from benchmarks.throughput import run_jobs

OPEN, OPEN_SMOKE = 1_000_000, 4_000
JOBS, JOBS_SMOKE = 10_000, 500
IDLE_SECONDS, IDLE_SECONDS_SMOKE = 20.0, 1.0
SETTLE, SETTLE_SMOKE = 15.0, 1.0
"""Seconds until the sweeper has rung for those that nobody comes for, and the server has written what was inserted."""

DIGESTED_WITHIN = 600.0
"""Seconds until the leader has digested and indexed what ran before; until then nothing is idle."""

STAGES = '["guard", "route", "execute", "analyze"]'
"""What the workers serve. Half of the backlog is queued at heal: nobody comes for it."""

_IDLE = ("PostgreSQL backends", "scheduler")

_UNKNOWN = """
    SELECT count(*) FROM results AS r WHERE NOT EXISTS (SELECT FROM trace_facts AS f WHERE f.job_id = r.job_id)
"""
_WORDLESS = "SELECT (SELECT coalesce(max(seq), 0) FROM trace_facts) - (SELECT coalesce(max(seq), 0) FROM trace_texts)"

_IDS = """
    CREATE TEMPORARY TABLE backlog AS
    SELECT n, (
        lpad(to_hex((extract(epoch FROM now() - interval '1 day') * 1000)::bigint + n / 100), 12, '0')
        || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15)
    )::uuid AS id
    FROM generate_series(1, {count}) AS n ORDER BY n
"""
"""A day older than the jobs that run, so that both can be told apart by the primary key."""

_JOBS = """
    INSERT INTO jobs (id, organization, workspace, account_plan, lane, model, request, created_at)
    SELECT b.id, 'backlog', 'main', 'pro', 'bulk', j.model, j.request, now() - interval '1 day'
    FROM backlog AS b, (SELECT model, request FROM jobs LIMIT 1) AS j ORDER BY b.n
"""

_OPEN_JOBS = """
    INSERT INTO open_jobs (id, state, stage, lane, claim_no, attempts, retry_base, losses, rings, in_flight, run_at,
                           notified_at)
    SELECT id, CASE WHEN n % 2 = 0 THEN 'parked' ELSE 'queued' END, 'heal', 'bulk', 0, 0, 0, 0, 0, false,
           CASE WHEN n % 2 = 0 THEN now() + interval '30 days' END, now() - interval '1 day'
    FROM backlog ORDER BY n
"""


def main(smoke: bool) -> None:
    """Empty, full, full, empty: what changes on the machine meanwhile falls on both."""
    count = JOBS_SMOKE if smoke else JOBS
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    share = 0.0
    with ExitStack() as stack:
        base_url, _ = stack.enter_context(nginx())
        catalog = stack.enter_context(catalog_file(base_url))
        databases = {name: stack.enter_context(postgresql_database()) for name in rates}
        brokers = {name: stack.enter_context(rabbitmq_vhost()) for name in rates}
        for number, name in enumerate(("empty", "full", "full", "empty")):
            with running(databases[name], brokers[name], catalog, Shape(), WORKER_STAGES=STAGES) as system:
                _run(system, max(100, count // 10))
                if number == 1:
                    _make_backlog(databases[name], OPEN_SMOKE if smoke else OPEN)
                    _await_digest(system)
                    share = _idle_share(system, smoke)
                rates[name].append(_run(system, count))
                say(f"{name}: {rates[name][-1]:,.0f} jobs/s")
    empty, full = (sum(values) / len(values) for values in rates.values())
    figure("idle_db_share", share, "cores")
    figure("backlog_throughput", full, "jobs/s", baseline=empty)
    figure("backlog_ratio", full / empty, "ratio")


def _run(system: System, count: int) -> float:
    """Jobs/s, when all have succeeded."""
    before = system.number("SELECT count(*) FROM results")
    run = run_jobs(system, count)
    done = system.number("SELECT count(*) FROM results WHERE state = 'succeeded'") - before
    if done != count:
        raise BenchmarkError(f"{done:,.0f} of {count:,} jobs succeeded")
    return run.per_second


def _make_backlog(database_url: str, count: int) -> None:
    began = time.monotonic()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in (_IDS.format(count=count), _JOBS, _OPEN_JOBS, "VACUUM (ANALYZE)", "CHECKPOINT"):
            connection.execute(statement.encode())
    say(f"a backlog of {count:,} open jobs in {time.monotonic() - began:.0f} s")


def _await_digest(system: System) -> None:
    """Return when the leader has digested and indexed what ran, in its share of the time."""
    began = time.monotonic()
    while (left := system.number(_UNKNOWN)) or system.number(_WORDLESS):
        if time.monotonic() - began > DIGESTED_WITHIN:
            raise BenchmarkError(f"{left:,.0f} jobs are not digested after {DIGESTED_WITHIN:.0f} s")
        time.sleep(0.5)
    say(f"digested within {time.monotonic() - began:.0f} s")


def _idle_share(system: System, smoke: bool) -> float:
    """The CPU of the database's backends and of the scheduler while nothing happens, as a share of one core."""
    time.sleep(SETTLE_SMOKE if smoke else SETTLE)
    began = time.monotonic()
    meter = system.meter()
    time.sleep(IDLE_SECONDS_SMOKE if smoke else IDLE_SECONDS)
    used, seconds = meter.read(), time.monotonic() - began
    cpu_table("idle", used, seconds, max(1, round(seconds)), "s")
    return sum(used.get(name, 0.0) for name in _IDLE) / seconds
