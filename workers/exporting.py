"""What the analyze actor does: closes traces that no worker closed on its way, and empties the backlog."""

import logging
import threading
from collections.abc import Mapping, Sequence

from pipelines.analyze.protocol import Exporter, Trace
from pipelines.analyze.stage import conclusion
from pipelines.analyze.trace import assemble
from synthralos.domain.spans import Span
from synthralos.domain.states import State
from synthralos.store.exports.backlog import Analysis
from synthralos.store.read.jobs import Reader
from synthralos.store.scope import EVERYTHING
from synthralos.store.sql.clock import DatabaseClock

log = logging.getLogger(__name__)

SHIPMENT = 20
"""Traces a batch: what the destinations' own batch sizes are made for."""


class TraceExporter:
    """Works through jobs that are finished. Doing it twice does no harm."""

    def __init__(
        self, reader: Reader, analysis: Analysis, exporters: Mapping[str, Exporter], clock: DatabaseClock
    ) -> None:
        self._reader = reader
        self._analysis = analysis
        self._exporters = exporters
        self._clock = clock
        self._shipping = {name: threading.Lock() for name in exporters}
        self._wanted: set[str] = set()

    def analyze(self, job_ids: Sequence[str]) -> None:
        """Close the open traces among `job_ids`, then ship what each exporter is owed."""
        open_traces = self._analysis.open_traces(job_ids)
        if open_traces:
            found = self._reader.jobs(open_traces, EVERYTHING)
            self._analysis.close({job_id: self._conclusion(job) for job_id, job in found.items()})
        for exporter in self._exporters.values():
            self._ship(exporter)

    def _conclusion(self, job: Mapping[str, object]) -> Span:
        now = self._clock.now()
        return conclusion(State(str(job["state"])), job["attempts"], job["created_at"], now, now)  # type: ignore[arg-type]

    def _ship(self, exporter: Exporter) -> None:
        """Ship what is owed; another thread that ships already does so in our place, and looks once more for us."""
        lock = self._shipping[exporter.destination]
        self._wanted.add(exporter.destination)
        while exporter.destination in self._wanted and lock.acquire(blocking=False):
            try:
                self._wanted.discard(exporter.destination)
                self._ship_all(exporter)
            finally:
                lock.release()

    def _ship_all(self, exporter: Exporter) -> None:
        """Ship until nothing is owed or the destination refuses."""
        while owed := self._analysis.owed(exporter.destination, SHIPMENT):
            accepted = exporter.ship(self._traces(owed))
            gone = self._gone(owed)
            self._analysis.shipped(exporter.destination, [*accepted, *gone])
            if not accepted and not gone:
                return

    def _traces(self, job_ids: Sequence[str]) -> list[Trace]:
        found = self._reader.jobs(job_ids, EVERYTHING)
        return [assemble(found[i], self._reader.timeline(i)) for i in job_ids if i in found]

    def _gone(self, job_ids: Sequence[str]) -> list[str]:
        """Jobs that retention has removed meanwhile: nothing is left to ship."""
        there = self._reader.states(job_ids)
        return [job_id for job_id in job_ids if job_id not in there]
