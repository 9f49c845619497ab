"""Two workers that ship to the same destinations at once lose no trace."""

import threading
from collections.abc import Sequence

import pytest

from pipelines.analyze.protocol import Answer, Trace
from synthralos.domain.exports import Destination as Named
from synthralos.store.sql.clock import DatabaseClock
from synthralos.store.sql.database import Database
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store
from workers.exporting import TraceExporter

pytestmark = pytest.mark.slow

DESTINATIONS = ("one", "two")
JOBS = 300


class Destination:
    """Accepts two thirds of what it gets, as soon as both workers have something for it."""

    def __init__(self, name: str, both: threading.Barrier) -> None:
        self.destination = Named(name)
        self.accepted: set[str] = set()
        self._both: threading.Barrier | None = both

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """Take the traces, but for every third."""
        if self._both is not None:
            self._both.wait(30)
            self._both = None
        job_ids = [str(trace["job"]["id"]) for trace in traces]
        taken = [job_id for number, job_id in enumerate(job_ids) if number % 3 != 1] or job_ids
        self.accepted.update(taken)
        return Answer(taken)

    def close(self) -> None:
        """Nothing is held."""


def test_two_that_ship_at_once_lose_no_trace(database: Database) -> None:
    store = Store(database, DESTINATIONS)
    job_ids = set(store.submit(*[new_job() for _ in range(JOBS)]))
    for job in store.claim(sorted(job_ids)):
        store.settle(settlement(job, analyzed=True))
    barriers = {name: threading.Barrier(2) for name in DESTINATIONS}
    places = [{name: Destination(name, barriers[name]) for name in DESTINATIONS} for _ in range(2)]
    workers = [TraceExporter(database, place, DatabaseClock(), damping=0, linger=0) for place in places]
    for worker in workers:
        worker.start()
    while any(store.owed(name) for name in DESTINATIONS):
        store.let_exports_come_due()
        for worker in workers:
            worker.analyze([])
        assert all(worker.rest(60) for worker in workers)
    for worker in workers:
        worker.stop(60)
    for name in DESTINATIONS:
        assert places[0][name].accepted | places[1][name].accepted == job_ids
