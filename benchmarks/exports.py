"""Exports: destinations are dead while jobs run, then back: how fast they drain, what is lost, what is doubled.

First all drain at once, in two exporter processes that share one machine with the destinations; then each by itself,
in one exporter process.
"""

import time
from collections.abc import Sequence
from contextlib import closing

from benchmarks.export_sink import PLACES, counts, of, settings, sink
from benchmarks.places import no_broker, postgresql_database
from benchmarks.processes import wait_until
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import BenchmarkError, cpu_table, figure, say
from benchmarks.system import Shape, System, check_books, running
from benchmarks.throughput import warm_up
from synthralos.store.admin.audit import By
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.sql.database import Database
from tests.fakes.ports import free_port

JOBS, JOBS_SMOKE = 20_000, 300

_SPANS = """
SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM attempts)
  + (SELECT sum(json_array_length(spans::json)) FROM results WHERE spans NOT LIKE E'%\\n%')
"""
_OWED = "SELECT count(*) FROM export_backlog"


def main(smoke: bool) -> None:
    """All at once, then each alone."""
    count = JOBS_SMOKE if smoke else JOBS
    found, events, seconds = _drained(list(PLACES.values()), count, exporters=2)
    figure("drain_per_s", events / seconds, "events/s a destination")
    figure("rudderstack_per_s", found["rudderstack_spans"] / seconds, "events/s")
    figure("lost", sum(count - found[f"{name}_jobs"] for name in PLACES.values()), "traces")
    figure("doubled", sum(max(0, found[f"{name}_jobs"] - count) for name in PLACES.values()), "traces")
    figure("resent", sum(found.get(f"{name}_repeats", 0) for name in PLACES.values()), "spans")
    for name in PLACES.values():
        found, _, seconds = _drained([name], count, exporters=1)
        figure(f"{name}_alone_per_s", found[f"{name}_spans"] / seconds, "events/s")


def _drained(names: Sequence[str], count: int, exporters: int) -> tuple[dict[str, int], float, float]:
    """What arrived, the spans and events of all traces, and the seconds that it took."""
    port = free_port()
    with (
        slow_provider(0) as (base_url, provider),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        no_broker() as broker,
        running(database_url, broker, catalog, Shape(exporters=exporters), **of(settings(port), names)) as system,
    ):
        warm_up(system, count)
        check_books(system)
        owed = int(system.number(_OWED))
        if owed != len(names) * count:
            raise BenchmarkError(f"{owed} traces are owed, and not {len(names) * count}")
        events = system.number(_SPANS) + system.number("SELECT count(*) FROM event_logs")
        with sink(port) as destination:
            meter = system.meter(destination, provider)
            seconds = _drain(system, database_url, names, owed)
            cpu_table(f"draining {', '.join(names)}", meter.read(), seconds, len(names) * count, "trace")
            found = counts(port)
    say(f"{count:,} traces with {events:,.0f} spans and events, to {', '.join(names)}, in {seconds:.2f} s: {found}")
    return found, events, seconds


def _drain(system: System, database_url: str, names: Sequence[str], owed: int) -> float:
    """Seconds until nothing is owed, from when the destinations are told to be tried again."""
    with closing(Database(database_url)) as database:
        operations = ExportOperations(database)
        for name in names:
            operations.resume(name, By("benchmark", "they are back"))
    wait_until(lambda: system.number(_OWED) < owed, "the first shipment", list(system.children.values()))
    began = time.perf_counter()
    left = system.number(_OWED)
    wait_until(lambda: not system.number(_OWED), "the backlog", list(system.children.values()), 600)
    return (time.perf_counter() - began) * owed / left
