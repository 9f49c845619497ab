"""Search and metrics over 1,000,000 finished jobs at 5 requests/s, over HTTP: p95, and what keeping the index costs.

The prompts are those of the shared data (`SEARCH_DATA`, else ../shared/data); without it those of the workload. The
leader's own code digests them, in large rounds, and indexes the newest; the words of the others come together in SQL.
"""

import gzip
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg

from api.process import ApiServer
from benchmarks.places import kept_database, postgresql_database
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.search_texts import fill_texts
from benchmarks.workload import job
from migrations.runner import upgrade
from pipelines.providers.table import check_deployment
from synthralos.config.settings import Settings
from synthralos.core import build_core
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.keys import Keys
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database

JOBS, JOBS_SMOKE = 1_000_000, 20_000
INDEXED, INDEXED_SMOKE = 20_000, 2_000
"""Jobs that the leader's own code puts into the index of words; what it costs is told of those."""

AT_ONCE = 20_000
"""Jobs that one round digests; the leader takes a thousand."""

ASKED, ASKED_SMOKE = 300, 30
PER_SECOND = 5
ORGANIZATIONS, DAYS = 20, 30

_PROMPTS = "CREATE TABLE prompts (n int PRIMARY KEY, text text NOT NULL)"
_DRAWN = """
    CREATE TABLE drawn AS SELECT n, random() AS luck, at,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint),
         12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid AS id,
        floor(random() * {prompts})::int AS first, floor(random() * {prompts})::int AS second
    FROM (
        SELECT n, now() - interval '1 minute' - interval '{days} days' * (1 - n::float / {count}) AS at
        FROM generate_series(1, {count}) AS n
    ) AS numbered ORDER BY n
"""
"""The newest ended a minute ago: what has just ended is not digested yet."""
_JOBS = """
    INSERT INTO jobs (id, organization, workspace, account_plan, lane, model, request, metadata, created_at)
    SELECT d.id, 'org-' || d.n % {organizations}, 'space-' || d.n % 3, 'pro', 'bulk', 'model-' || d.n % 5,
        json_build_object('body', json_build_object('messages', json_build_array(
            json_build_object('role', 'user', 'content', a.text))), 'provider_options', json_build_object()),
        json_build_object('project', 'p' || d.n % 50), d.at
    FROM drawn AS d JOIN prompts AS a ON a.n = d.first ORDER BY d.n
"""
_RESULTS = """
    INSERT INTO results (job_id, state, claim_no, attempts, retry_base, losses, failure, result, finished_at)
    SELECT d.id, CASE WHEN d.luck < 0.02 THEN 'failed' ELSE 'succeeded' END, 1, 1, 0, 0,
        CASE WHEN d.luck < 0.02 THEN {failure} END,
        CASE WHEN d.luck >= 0.02 THEN json_build_object('text', b.text, 'finish_reason', 'stop') END,
        d.at + interval '1 second' * (0.5 + 10 * d.luck)
    FROM drawn AS d JOIN prompts AS b ON b.n = d.second ORDER BY d.n
"""
_ENTRIES = """
    INSERT INTO catalog_entries (key, deployment, provider, model, upstream_model, region, created_at)
    SELECT 'entry-' || n, 'provider/model-' || n || '@eu', 'provider', 'model-' || n, 'model-' || n, 'eu', now()
    FROM generate_series(0, 4) AS n
"""
_ATTEMPTS = """
    INSERT INTO attempts (job_id, attempt_no, worker_id, claim_no, entry_key, outcome, billed, late, failure,
        input_tokens, output_tokens, cost_picousd, seconds, started_at, ended_at)
    SELECT d.id, 1, d.id, 1, 'entry-' || d.n % 5, CASE WHEN d.luck < 0.02 THEN 'failed' ELSE 'succeeded' END,
        CASE WHEN d.luck < 0.02 THEN 'no' ELSE 'yes' END, false, CASE WHEN d.luck < 0.02 THEN {failure} END,
        floor(2000 * d.luck), floor(900 * d.luck), floor(1e9 * d.luck), 1 + 9 * d.luck,
        d.at + interval '0.4 seconds', d.at + interval '1 second' * (0.5 + 10 * d.luck)
    FROM drawn AS d ORDER BY d.n
"""
_FAILURE = (
    """json_build_object('class', (ARRAY['server_error', 'timeout', 'overloaded'])[1 + d.n % 3],"""
    """ 'message', 'the provider said ' || d.n, 'retry_after', null, 'http_status', 500, 'provider_code', null)"""
)


def main(smoke: bool) -> None:
    """Fill a database, have the leader's code digest it, and ask. A database that `SEARCH_DATABASE` names is kept."""
    count, asked = (JOBS_SMOKE, ASKED_SMOKE) if smoke else (JOBS, ASKED)
    prompts = list(_prompts())
    kept = os.environ.get("SEARCH_DATABASE")
    with ExitStack() as stack:
        if kept:
            url = stack.enter_context(kept_database(kept, lambda url: _history(url, count, prompts, smoke)))
        else:
            url = stack.enter_context(postgresql_database())
            _history(url, count, prompts, smoke)
        database = stack.enter_context(closing(Database(url)))
        whole, tenant = stack.enter_context(_serving(url, database))
        search = _ask(asked, _searches(prompts, asked), (whole, tenant))
        with _active(url) as active:
            metrics = _ask(asked, _metrics(), (whole, tenant))
    figure("search_p95_ms", search, "ms")
    figure("metrics_p95_ms", metrics, "ms")
    figure("metrics_db_share", active[0], "cores")


def _history(url: str, count: int, prompts: Sequence[str], smoke: bool) -> None:
    """Finished jobs, digested and indexed; what that costs a job."""
    with closing(Database(url)) as database:
        upgrade(database)
        _fill(url, count, prompts)
        digest_us = _microseconds(lambda: _digest(database), count)
        indexed = INDEXED_SMOKE if smoke else INDEXED
        fill_texts(url, count - indexed)
        index_us = _microseconds(TextIndex(database).finish, indexed)
        sizes = _sizes(url, count)
    figure("digest_us", digest_us, "µs/job")
    figure("index_us", index_us, "µs/job")
    figure("index_bytes", sizes, "bytes/job")


def _prompts() -> Iterator[str]:
    folder = Path(os.environ.get("SEARCH_DATA", "../shared/data"))
    names = ("guard/abuse.jsonl.gz", "router/two_models.jsonl.gz")
    if not all((folder / name).is_file() for name in names):
        say(f"no data in {folder}: the prompts are those of the workload")
        yield from (job(number)["prompt"] for number in range(2_000))
        return
    for name in names:
        with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = orjson.loads(line)
                yield str(row.get("text") or row.get("prompt") or "").replace("\0", " ")[:4_000]


def _fill(url: str, count: int, prompts: Sequence[str]) -> None:
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PROMPTS)
        with connection.cursor() as cursor, cursor.copy("COPY prompts FROM STDIN") as copy:
            for number, text in enumerate(prompts):
                copy.write_row((number, text))
        values = {
            "count": count, "days": DAYS, "prompts": len(prompts), "organizations": ORGANIZATIONS, "failure": _FAILURE,
        }  # fmt: skip
        for statement in (_DRAWN, "ANALYZE", _JOBS, _RESULTS, _ENTRIES, _ATTEMPTS):
            connection.execute(statement.format(**values).encode())
        connection.execute("VACUUM (ANALYZE)")
    say(f"{count:,} finished jobs in {time.monotonic() - began:.0f} s")


def _microseconds(act: Callable[[], None], count: int) -> float:
    began = time.monotonic()
    act()
    return 1e6 * (time.monotonic() - began) / count


def _digest(database: Database) -> None:
    digest = Digest(database)
    while digest.round(most=AT_ONCE):
        pass


@contextmanager
def _active(url: str) -> Iterator[list[float]]:
    """Of the time in the block, the share in which statements ran: statements at once count for each."""
    query = "SELECT active_time FROM pg_stat_database WHERE datname = current_database()"
    share: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        [before] = connection.execute(query).fetchone() or [0.0]
        began = time.monotonic()
        yield share
        seconds = time.monotonic() - began
        connection.execute("SELECT pg_stat_clear_snapshot()")
        [after] = connection.execute(query).fetchone() or [0.0]
    share.append((after - before) / 1000 / seconds)


def _sizes(url: str, count: int) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        query = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname = ANY(%s)"
        sizes = dict(connection.execute(query, [["trace_facts", "trace_texts", "job_sums", "error_sums"]]).fetchall())
        [indexed] = connection.execute("SELECT count(*) FROM trace_texts").fetchone() or [0]
    if indexed != count:
        raise BenchmarkError(f"{indexed:,} of {count:,} jobs are in the index")
    for name, size in sizes.items():
        say(f"{name}: {size / count:,.0f} bytes/job")
    return sum(sizes.values()) / count


@contextmanager
def _serving(url: str, database: Database) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients with a key of the whole installation, and with one of an organization."""
    core = build_core(Settings(database_url=url, sandbox="on"), check_deployment)
    server = ApiServer(core, "127.0.0.1", 0)
    server.start()
    secrets = [Keys(database).create("bench", Role.ADMIN, scope)[0] for scope in (EVERYTHING, Scope("org-7"))]
    whole, tenant = (
        httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        for secret in secrets
    )
    try:
        with whole, tenant:
            yield whole, tenant
    finally:
        server.stop()
        core.close()


def _searches(prompts: Sequence[str], asked: int) -> list[dict[str, Any]]:
    """Words of the prompts, as people would look for them, beside filters of every kind."""
    draw = random.Random(7)
    since = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    found: list[dict[str, Any]] = []
    while len(found) < asked:
        words = [word for word in draw.choice(prompts).split() if word.isalpha() and len(word) > 3]
        if len(words) < 6:
            continue
        at = draw.randrange(len(words) - 3)
        found += [
            {"q": words[at]},
            {"q": f"{words[at]} {words[at + 2]}"},
            {"q": f'"{words[at]} {words[at + 1]}"'},
            {"q": f"{words[at][:4]}*", "created_after": since},
            {"q": words[at], "state": "failed"},
            {"q": words[at], "sort": "cost"},
            {"failure_class": "timeout"},
            {"tag": f"project=p{draw.randrange(50)}", "min_seconds": 9},
            {"deployment": "provider/model-3@eu", "sort": "duration"},
            {"q": "the", "min_cost_usd": "0.0009"},
        ]
    return found


def _metrics() -> list[dict[str, Any]]:
    month = (datetime.now(UTC) - timedelta(days=DAYS)).isoformat()
    return [
        {},
        {"group_by": "state,model"},
        {"group_by": "hour"},
        {"since": month},
        {"since": month, "group_by": "day"},
        {"since": month, "group_by": "model,failure_class"},
    ]


def _ask(asked: int, questions: Sequence[dict[str, Any]], clients: Sequence[httpx.Client]) -> float:
    """The p95 of the answers in milliseconds, asked at `PER_SECOND`, in turns with each key."""
    searching = any("q" in question for question in questions)
    path = "/api/v1/observability/" + ("traces" if searching else "metrics")
    taken: list[tuple[float, str]] = []
    begun = time.monotonic()
    for number in range(asked):
        time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        question, client = questions[number % len(questions)], clients[number % len(clients)]
        began = time.perf_counter()
        answer = client.get(path, params=question)
        taken.append((1000 * (time.perf_counter() - began), str(question)))
        if answer.status_code != 200:
            raise BenchmarkError(f"{answer.status_code} for {question}: {answer.text}")
    for milliseconds, question_text in sorted(taken)[-5:]:
        say(f"  {milliseconds:,.0f} ms: {question_text}")
    values = [milliseconds for milliseconds, _ in taken]
    say(f"{path}: p50 {percentile(values, 50):,.1f} ms, p95 {percentile(values, 95):,.1f} ms")
    return percentile(values, 95)
