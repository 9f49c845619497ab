"""What a finished job leaves behind: bytes of tables and indexes, and of the write-ahead log."""

from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import figure, say, table
from benchmarks.system import Shape, System, check_books, running
from benchmarks.throughput import run_jobs, warm_up

JOBS, JOBS_SMOKE = 20_000, 1_000

_SIZES = """
    SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY pg_total_relation_size(oid) DESC
"""


def main(smoke: bool) -> None:
    """Jobs as in the benchmark of throughput. What every database has, however few the jobs, is taken off first."""
    count = JOBS_SMOKE if smoke else JOBS
    with (
        nginx() as (base_url, _),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape()) as system,
    ):
        warm_up(system, max(100, count // 10))
        before = _sizes(system)
        system.connection.execute("CHECKPOINT")
        wal = system.number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        run = run_jobs(system, count)
        written = system.number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn") - wal
        check_books(system)
        after = _sizes(system)
    _report(before, after, count)
    grown = sum(sum(after[name]) - sum(before[name]) for name in after)
    say(f"{run.count:,} jobs; the WAL is the whole server's: what others write meanwhile is in it")
    figure("bytes_per_job", grown / count, "bytes")
    figure("wal_bytes_per_job", written / count, "bytes")


def _sizes(system: System) -> dict[str, tuple[int, int]]:
    """(heap with TOAST, indexes) in bytes of each table, after a VACUUM."""
    system.connection.execute("VACUUM")
    return {str(name): (int(str(heap)), int(str(indexes))) for name, heap, indexes in system.connection.execute(_SIZES)}


def _report(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], count: int) -> None:
    rows = [
        [name, *(f"{(now - then) / count:,.0f}" for now, then in zip(after[name], before[name], strict=True))]
        for name in after
        if after[name] != before[name]
    ]
    table("bytes a job", ["table", "heap and TOAST", "indexes"], rows)
