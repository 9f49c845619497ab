"""Fully processed jobs/s, submitted in bulk over HTTP, beside bare Dramatiq's no-op messages/s."""

import os
import time
from dataclasses import dataclass

from benchmarks.baseline import measure
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import Child
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import cpu_table, figure, say
from benchmarks.system import Shape, System, check_books, running

JOBS, JOBS_SMOKE = 30_000, 500
WARM_UP, WARM_UP_SMOKE = 1_000, 100

_COMMITS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True)
class Run:
    """`count` jobs took `seconds` from the first POST to the last end; `submitting` of them until the last 202.

    `cpu` is in seconds by component; `commits` counts the database's transactions, reads included.
    """

    count: int
    seconds: float
    submitting: float
    cpu: dict[str, float]
    commits: float

    @property
    def per_second(self) -> float:
        """Finished jobs/s."""
        return self.count / self.seconds


def warm_up(system: System, count: int) -> None:
    """Open all connections, fill all caches."""
    system.submit(count)
    system.until_finished()


def run_jobs(system: System, count: int, *others: Child) -> Run:
    """Submit `count` jobs and wait for the last one. Both ends are times of the database's clock."""
    bodies = system.bodies(count)
    meter = system.meter(*others)
    own, commits = time.process_time(), system.number(_COMMITS)
    began = system.number("SELECT extract(epoch FROM clock_timestamp())")
    system.post(bodies)
    submitted = system.number("SELECT extract(epoch FROM clock_timestamp())")
    system.until_finished()
    used = meter.read() | {"client": time.process_time() - own}
    ended = system.number("SELECT extract(epoch FROM max(finished_at)) FROM results")
    return Run(count, ended - began, submitted - began, used, system.number(_COMMITS) - commits)


def main(smoke: bool, name: str = "throughput", **settings: str) -> None:
    """Baseline, ours, baseline again: what changes on the machine meanwhile falls on both sides."""
    shape = Shape()
    count = JOBS_SMOKE if smoke else JOBS
    say(f"{count:,} jobs, {shape.worker_processes} x {shape.worker_threads} threads, {os.cpu_count()} CPUs")
    before = measure(count, shape.worker_processes, shape.worker_threads)
    with (
        nginx() as (base_url, provider),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, shape, **settings) as system,
    ):
        warm_up(system, WARM_UP_SMOKE if smoke else WARM_UP)
        run = run_jobs(system, count, provider)
        check_books(system)
    say(f"SynthralOS: {run.per_second:,.0f} jobs/s; the last 202 came after {run.submitting:.2f} s")
    say(f"about {run.commits:,.0f} transactions for {count:,} jobs; PostgreSQL counts with a delay")
    cpu_table("SynthralOS", run.cpu, run.seconds, count, "job")
    after = measure(count, shape.worker_processes, shape.worker_threads)
    message, job = (before.cpu + after.cpu) / 2, sum(run.cpu.values()) / count
    say(f"CPU of a bare message ÷ CPU of a job, which a busy machine changes less than the rates: {message / job:.2f}")
    figure(name, run.per_second, "jobs/s", baseline=(before.per_second + after.per_second) / 2)
