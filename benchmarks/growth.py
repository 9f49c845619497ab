"""Throughput with 1,000,000 finished jobs in the tables beside throughput with empty ones."""

import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks.places import BrokerPlace, postgresql_database, rabbitmq_vhost
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import cpu_table, figure, say
from benchmarks.system import Shape, System, check_books, running
from benchmarks.throughput import run_jobs, warm_up

HISTORY, HISTORY_SMOKE = 1_000_000, 2_000
JOBS, JOBS_SMOKE = 10_000, 500
SAMPLES = 500
"""Jobs that really ran, whose rows are copied to make a history."""

_TABLES = {"jobs": "id", "results": "job_id", "attempts": "job_id"}
"""The tables that grow, and the column that holds the job's id."""

_DRAW_IDS = """
    CREATE TEMPORARY TABLE copies AS
    SELECT id AS old, age, (
        lpad(to_hex((extract(epoch FROM clock_timestamp() - age) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15)
    )::uuid AS new
    FROM jobs, LATERAL (
        SELECT n * interval '30 days' / {times} + random() * interval '1 hour' AS age
        FROM generate_series(1, {times}) AS n
    ) AS ages
    ORDER BY age DESC
"""


def main(smoke: bool) -> None:
    """Empty, full, full, empty: what changes on the machine meanwhile falls on both."""
    count = JOBS_SMOKE if smoke else JOBS
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    with ExitStack() as stack:
        base_url, _ = stack.enter_context(nginx())
        catalog = stack.enter_context(catalog_file(base_url))
        databases = {name: stack.enter_context(postgresql_database()) for name in rates}
        broker = stack.enter_context(rabbitmq_vhost())
        _make_history(databases["full"], broker, catalog, HISTORY_SMOKE if smoke else HISTORY)
        for name in ("empty", "full", "full", "empty"):
            with running(databases[name], broker, catalog, Shape()) as system:
                rates[name].append(_rate(name, system, count))
    empty, full = (sum(values) / len(values) for values in rates.values())
    figure("growth_throughput", full, "jobs/s", baseline=empty)
    figure("growth_ratio", full / empty, "ratio")


def _rate(name: str, system: System, count: int) -> float:
    warm_up(system, max(100, count // 10))
    run = run_jobs(system, count)
    say(f"{name}: {run.per_second:,.0f} jobs/s")
    cpu_table(name, run.cpu, run.seconds, count, "job")
    return run.per_second


def _make_history(database_url: str, broker: BrokerPlace, catalog: Path, count: int) -> None:
    """Let some jobs run, and copy their rows under new ids, spread over the last 30 days."""
    began = time.monotonic()
    with running(database_url, broker, catalog, Shape()) as system:
        warm_up(system, SAMPLES)
        check_books(system)
        connection = system.connection
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_DRAW_IDS.format(times=max(1, count // SAMPLES)).encode())
        for table, key in _TABLES.items():
            _copy(connection, table, key)
        connection.execute("VACUUM (ANALYZE)")
        row = connection.execute("SELECT count(*), pg_size_pretty(pg_database_size(current_database())) FROM jobs")
        say(f"a history of {row.fetchone()} in {time.monotonic() - began:.0f} s")


def _copy(connection: psycopg.Connection[tuple[object, ...]], table: str, key: str) -> None:
    """Each row of a copied job again, under the new id and at the time that belongs to it."""
    query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
    values = {str(name): _value(str(name), str(kind), key) for name, kind in connection.execute(query, [table])}
    statement = (
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
        f"FROM copies JOIN {table} AS t ON t.{key} = copies.old ORDER BY copies.new"
    )
    connection.execute(statement.encode())


def _value(column: str, kind: str, key: str) -> str:
    if column == key:
        return "copies.new"
    if kind == "timestamp with time zone":
        return f"t.{column} - copies.age"
    return f"t.{column}"
