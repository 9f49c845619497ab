"""Thousands of slow calls in flight in one worker process: wall time, CPU and memory of that process."""

from benchmarks import cpu
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import cpu_table, figure, say
from benchmarks.system import Shape, check_books, running
from benchmarks.throughput import run_jobs, warm_up

CALLS, CALLS_SMOKE = 10_000, 200
CALL_SECONDS, CALL_SECONDS_SMOKE = 10.0, 1.0
WARM_UP = 10

SLOTS = "12000"
"""A tenth of them is kept for interactive jobs, and these are bulk."""


def main(smoke: bool) -> None:
    """The provider answers each call after ten seconds; the ideal wall time is those ten seconds."""
    count = CALLS_SMOKE if smoke else CALLS
    seconds = CALL_SECONDS_SMOKE if smoke else CALL_SECONDS
    with (
        slow_provider(seconds) as (base_url, provider),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape(worker_processes=1), FLIGHT_SLOTS=SLOTS) as system,
    ):
        warm_up(system, WARM_UP)
        idle = cpu.peak_memory_mb(system.children["workers"].pid)
        run = run_jobs(system, count, provider)
        peak = cpu.peak_memory_mb(system.children["workers"].pid)
        check_books(system)
    say(f"{count:,} calls of {seconds:g} s; the last 202 came after {run.submitting:.2f} s; {idle:.0f} MB before")
    cpu_table("flight", run.cpu, run.seconds, count, "call")
    figure("flight_wall_s", run.seconds, "s")
    figure("flight_cpu_s", run.cpu["workers"], "s")
    figure("flight_rss_mb", peak, "MB")
