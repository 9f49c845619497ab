"""A day of 1,000,000 finished jobs goes: seconds until all of it is removed, and for 1,000,000 rows of it.

Jobs have one call each and two events; they are digested, so facts go too: seven rows a job. Three ways are told: their
texts alone, the jobs with the books kept, and everything at once. Steps are those of the leader, one after the other
without a pause. Beside the seconds stands the CPU of the database, which other programs on the machine change less.
"""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg

from benchmarks.cpu import cpu_seconds
from benchmarks.places import postgresql_database
from benchmarks.report import BenchmarkError, figure, say
from migrations.runner import upgrade
from synthralos.domain.retention import RULES, Kind, Retention
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.database import Database

JOBS, JOBS_SMOKE = 1_000_000, 20_000
MOST = 20_000
"""Jobs of a step; the leader takes as many as a step of 0.3 s has."""

AGED = 100
"""Days: how old the jobs are."""

_DRAWN = """
    CREATE TABLE drawn AS SELECT n, at,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint),
         12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id
    FROM (SELECT n, now() - interval '{days} days' - interval '1 day' * (1 - n::float / {count}) AS at
          FROM generate_series(1, {count}) AS n) AS numbered ORDER BY n
"""
_FILL = (
    """INSERT INTO jobs (id, organization, workspace, user_id, account_plan, lane, model, request, metadata,
        created_at)
    SELECT id, 'org-' || n % 20, 'space', 'user-' || n % 1000, 'pro', 'bulk', 'auto',
        json_build_object('body', json_build_object('messages', json_build_array(json_build_object('role', 'user',
        'content', repeat('word ', 100)))), 'provider_options', json_build_object()), '{"project": "p"}', at
    FROM drawn""",
    """INSERT INTO results (job_id, state, claim_no, attempts, retry_base, losses, result, spans, finished_at,
        analyzed_at)
    SELECT id, 'succeeded', 1, 1, 0, 0, json_build_object('text', repeat('answer ', 60)), repeat('span', 50), at, at
    FROM drawn""",
    """INSERT INTO attempts (job_id, attempt_no, worker_id, claim_no, entry_key, outcome, billed, late, input_tokens,
        output_tokens, cost_picousd, seconds, started_at, ended_at)
    SELECT id, 1, id, 1, 'entry', 'succeeded', 'yes', false, 100, 60, 1000000, 1, at, at FROM drawn""",
    """INSERT INTO event_logs (id, job_id, organization, kind, actor, data, at)
    SELECT overlay(id::text placing lpad(to_hex(k), 2, '0') from 35)::uuid, id, 'org-' || n % 20, 'healed', 'worker',
        '{}', at FROM drawn, generate_series(1, 2) AS k""",
    """INSERT INTO trace_facts (job_id, seq, organization, workspace, user_id, model, lane, state, deployment,
        failure_class, created_at, finished_at, seconds, calls, input_tokens, output_tokens, cost_picousd, cost_known)
    SELECT id, n, 'org-' || n % 20, 'space', 'user-' || n % 1000, 'auto', 'bulk', 'succeeded', 'd', '', at, at, 1, 1,
        100, 60, 1000000, true FROM drawn""",
    "INSERT INTO trace_texts (seq, document) SELECT n, 'word answer'::tsvector FROM drawn",
    "INSERT INTO digests (name, seq, at) VALUES ('late', 0, now())",
    "INSERT INTO cost_periods (span, since, summed) VALUES ('hour', date_trunc('hour', now()), true)",
)
_TABLES = 7
"""Rows of a job in all tables together: job, result, attempt, two events, facts, words."""


def main(smoke: bool) -> None:
    """Three times a database is filled and emptied."""
    count = JOBS_SMOKE if smoke else JOBS
    texts, _ = _timed(count, Kind.PAYLOADS, payloads=1)
    kept, _ = _timed(count, Kind.JOBS, jobs=1, payloads=1)
    whole, cpu = _timed(count, Kind.JOBS, jobs=1, payloads=1, accounts=35)
    figure("texts_s", texts, "s")
    figure("books_kept_s", kept, "s")
    figure("retention_s", whole, "s")
    figure("million_rows_s", 1e6 * whole / (_TABLES * count), "s")
    figure("million_rows_cpu_s", 1e6 * cpu / (_TABLES * count), "s")


def _timed(count: int, kind: Kind, **days: float) -> tuple[float, float]:
    """Seconds that one kind takes, of jobs that were vacuumed once and are not in memory alone; and of CPU there."""
    times = Retention({each: days.get(each, rule.days) for each, rule in RULES.items()})
    with postgresql_database() as url, closing(Database(url)) as database:
        upgrade(database)
        _fill(url, count)
        keeping, removed, longest = Keeping(database), 0, 0.0
        backends = _backends(database)
        began, used = time.monotonic(), cpu_seconds(backends)
        while True:
            before = time.monotonic()
            step = keeping.step(kind, times, MOST)
            longest = max(longest, time.monotonic() - before)
            removed += step.removed
            if not step.more:
                break
        seconds, used = time.monotonic() - began, cpu_seconds(backends) - used
    if removed != count:
        raise BenchmarkError(f"{removed:,} of {count:,} jobs were removed")
    say(f"{kind} with {days}: {seconds:.2f} s ({used:.2f} s of CPU), the longest step {1000 * longest:,.0f} ms")
    return seconds, used


def _backends(database: Database) -> list[int]:
    """The processes that serve our connections: one for writing, one for reading."""
    pids = []
    for opened in (database.transaction, database.snapshot):
        with opened() as connection:
            pids.append(int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))
    return pids


def _fill(url: str, count: int) -> None:
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_DRAWN.format(count=count, days=AGED).encode())
        for statement in _FILL:
            connection.execute(statement.encode())
        connection.execute("DROP TABLE drawn")
        connection.execute("VACUUM (ANALYZE)")
    say(f"{count:,} finished jobs in {time.monotonic() - began:.0f} s ({datetime.now(UTC) - timedelta(days=AGED):%F})")
