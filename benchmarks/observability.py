"""What observability costs jobs: Langfuse, OTLP, metrics and access logs on, beside all of it off, in one run."""

from dataclasses import dataclass

import uvloop

from benchmarks import latency
from benchmarks.export_sink import settings, sink
from benchmarks.places import no_broker, postgresql_database
from benchmarks.processes import wait_until
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import figure, percentile, say
from benchmarks.system import Shape, check_books, running
from benchmarks.throughput import run_jobs, warm_up
from tests.fakes.ports import free_port

JOBS, JOBS_SMOKE = 20_000, 300
SECONDS, SECONDS_SMOKE = 15, 1

_OWED = "SELECT count(*) FROM export_backlog"
_OFF = {"ENABLE_ASYNC_TRACE_EXPORT": "off", "ACCESS_LOG": "off"}


@dataclass(frozen=True)
class Cost:
    """Jobs/s, and p95 of the time of single jobs at 100/s, in milliseconds."""

    per_second: float
    p95: float


def main(smoke: bool) -> None:
    """Off, on, off again: what changes on the machine meanwhile falls on both sides. A smoke run compares nothing."""
    port = free_port()
    on = {**settings(port), "ACCESS_LOG": "on"}
    metrics = {"METRICS_PORT": str(free_port())}
    with sink(port):
        first, with_all = _measure(smoke, _OFF), _measure(smoke, on, metrics)
        last = first if smoke else _measure(smoke, _OFF)
    off = Cost((first.per_second + last.per_second) / 2, (first.p95 + last.p95) / 2)
    say(f"off: {first}, {last}; on: {with_all}")
    figure("throughput_cost_share", 1 - with_all.per_second / off.per_second, "of jobs/s")
    figure("p95_added_ms", with_all.p95 - off.p95, "ms")
    figure("throughput", with_all.per_second, "jobs/s", baseline=off.per_second)


def _measure(smoke: bool, chosen: dict[str, str], of_workers: dict[str, str] | None = None) -> Cost:
    with (
        slow_provider(0) as (base_url, provider),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        no_broker() as broker,
        running(database_url, broker, catalog, Shape(), {"workers": of_workers or {}}, **chosen) as system,
    ):
        warm_up(system, 100 if smoke else 1_000)
        wait_until(lambda: not system.number(_OWED), "the exports", list(system.children.values()))
        samples = uvloop.run(latency.open_loop(system, latency.RATE * (SECONDS_SMOKE if smoke else SECONDS)))
        run = run_jobs(system, JOBS_SMOKE if smoke else JOBS, provider)
        check_books(system)
    return Cost(run.per_second, percentile([1000 * sample.finished for sample in samples], 95))
