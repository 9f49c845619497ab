"""What observability costs jobs, in one run: all of it on, beside all of it off, and each part by itself.

Destinations are shipped to by an exporter process, as a larger system has it, beside the workers of one machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import uvloop

from benchmarks import latency
from benchmarks.export_sink import PLACES, of, settings, sink
from benchmarks.places import no_broker, postgresql_database
from benchmarks.processes import wait_until
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import figure, percentile, say
from benchmarks.system import Shape, check_books, running
from benchmarks.throughput import run_jobs, warm_up
from tests.fakes.ports import free_port, free_ports

JOBS, JOBS_SMOKE = 20_000, 300
SECONDS, SECONDS_SMOKE = 15, 1

_OWED = "SELECT count(*) FROM export_backlog"
_OFF = {"ENABLE_ASYNC_TRACE_EXPORT": "off", "ACCESS_LOG": "off"}


_SHARED = frozenset({"RabbitMQ", "PostgreSQL background"})
"""Components whose CPU others of the machine use too."""


@dataclass(frozen=True)
class Cost:
    """Jobs/s, p95 of the time of single jobs at 100/s in milliseconds, and CPU of the whole system in µs a job."""

    per_second: float
    p95: float
    cpu: float


@dataclass(frozen=True)
class Part:
    """What is switched on: settings of all processes, those of the workers alone, and whether anything is shipped."""

    settings: Mapping[str, str]
    of_workers: Mapping[str, str] = field(default_factory=dict)
    ships: bool = True


def main(smoke: bool) -> None:
    """Off, on, off again: what changes meanwhile falls on both sides. Then the parts. A smoke run compares nothing."""
    port = free_port()
    off = Part(_OFF, ships=False)
    with sink(port):
        before, with_all = _measure(smoke, off), _measure(smoke, _everything(port))
        after = before if smoke else _measure(smoke, off)
        none = Cost(*((one + other) / 2 for one, other in zip(_plain(before), _plain(after), strict=True)))
        say(f"off: {before}, {after}; on: {with_all}")
        figure("throughput_cost_share", 1 - with_all.per_second / none.per_second, "of jobs/s")
        figure("p95_added_ms", with_all.p95 - none.p95, "ms")
        figure("cpu_added_us", with_all.cpu - none.cpu, "µs/job")
        figure("throughput", with_all.per_second, "jobs/s", baseline=none.per_second)
        for name, part in ({} if smoke else _parts(port)).items():
            cost = _measure(smoke, part)
            say(f"{name} alone: {cost}")
            figure(f"{name}_cost_share", 1 - cost.per_second / none.per_second, "of jobs/s")
            figure(f"{name}_p95_added_ms", cost.p95 - none.p95, "ms")
            figure(f"{name}_cpu_added_us", cost.cpu - none.cpu, "µs/job")


def _plain(cost: Cost) -> tuple[float, float, float]:
    return cost.per_second, cost.p95, cost.cpu


def _everything(port: int) -> Part:
    pushed = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
    return Part(
        {**settings(port), **pushed, "ACCESS_LOG": "on"}, {"METRICS_PORT": str(free_ports(Shape.worker_processes)[0])}
    )


def _parts(port: int) -> dict[str, Part]:
    """Each destination, and metrics with access logs."""
    each = {name: Part({**of(settings(port), [name]), "ACCESS_LOG": "off"}) for name in PLACES.values()}
    shown = Part(
        {**_OFF, "ACCESS_LOG": "on"}, {"METRICS_PORT": str(free_ports(Shape.worker_processes)[0])}, ships=False
    )
    return {**each, "metrics_and_access_logs": shown}


def _measure(smoke: bool, part: Part) -> Cost:
    shape = Shape(exporters=1 if part.ships else 0)
    with (
        slow_provider(0) as (base_url, provider),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        no_broker() as broker,
        running(database_url, broker, catalog, shape, {"workers": part.of_workers}, **part.settings) as system,
    ):
        warm_up(system, 100 if smoke else 1_000)
        wait_until(lambda: not system.number(_OWED), "the exports", list(system.children.values()))
        samples = uvloop.run(latency.open_loop(system, latency.RATE * (SECONDS_SMOKE if smoke else SECONDS)))
        run = run_jobs(system, JOBS_SMOKE if smoke else JOBS, provider)
        check_books(system)
    used = sum(seconds for name, seconds in run.cpu.items() if name not in _SHARED)
    p95 = percentile([1000 * sample.finished for sample in samples], 95)
    return Cost(run.per_second, p95, 1e6 * used / run.count)
