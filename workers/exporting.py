"""Shipping to all destinations, and what the analyze actor does: it closes traces that no worker closed on its way."""

import random
from collections.abc import Callable, Mapping, Sequence

from pipelines.analyze.protocol import Exporter
from pipelines.analyze.stage import conclusion
from synthralos.domain.flags import Flag
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.domain.states import State
from synthralos.store.exports.backlog import Backlog
from synthralos.store.exports.closing import Analysis
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.clock import DatabaseClock
from synthralos.store.sql.database import Database
from synthralos.telemetry.families import EXPORTED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.redaction import Redactor
from workers.courtesy import Courtesy
from workers.shipping import DAMPING, LINGER, Parts, Shipper
from workers.trace_reading import TraceReading


class TraceExporter:
    """Works through jobs that are finished. Doing it twice does no harm."""

    def __init__(
        self,
        database: Database,
        exporters: Mapping[str, Exporter],
        clock: DatabaseClock,
        on: Callable[[Flag, str], bool] = lambda flag, organization: True,
        metrics: Metrics | None = None,
        redactor: Redactor | None = None,
        damping: float = DAMPING,
        linger: float = LINGER,
        turn: Callable[[str], bool] = lambda destination: True,
        idle: float | None = None,
    ) -> None:
        """`on` says whether an organization has a flag; `redactor` knows our secrets, which leave with no trace.

        `turn` and `idle`: see `Parts`.
        """
        self._reader = Reader(database)
        self._analysis = Analysis(database, list(exporters))
        self._clock, self._on = clock, on
        counted = (metrics or Metrics()).counters(EXPORTED)
        reading = TraceReading(database, redactor or Redactor(), len(exporters))
        parts = Parts(reading, Backlog(database), on, counted, random.Random(), Courtesy(), damping, linger, turn, idle)
        self._shippers = [Shipper(parts, exporter) for exporter in exporters.values()]

    def start(self) -> None:
        """Be ready to ship."""
        for shipper in self._shippers:
            shipper.start()

    def analyze(self, job_ids: Sequence[str]) -> None:
        """Close the open traces among `job_ids`; each exporter ships what it is owed, in its own time."""
        open_traces = self._analysis.open_traces(job_ids)
        if open_traces:
            found = self._reader.jobs(open_traces, EVERYTHING)
            not_exported = {job_id for job_id, job in found.items() if not self._exported(job)}
            self._analysis.close({job_id: self._conclusion(job) for job_id, job in found.items()}, not_exported)
        self.wake()

    def wake(self) -> None:
        """Each shipper looks what it is owed."""
        for shipper in self._shippers:
            shipper.wake()

    def rest(self, timeout: float) -> bool:
        """Wait until nobody ships, `timeout` seconds at most for each destination; whether that came about."""
        return all(shipper.rest(timeout) for shipper in self._shippers)

    def stop(self, timeout: float) -> None:
        """Ship no more after the batches that are under way, and wait `timeout` seconds at most for each of these."""
        for shipper in self._shippers:
            shipper.ask_to_stop()
        for shipper in self._shippers:
            shipper.join(timeout)

    def _exported(self, job: Mapping[str, object]) -> bool:
        return self._on(Flag.ENABLE_ASYNC_TRACE_EXPORT, str(job["organization"]))

    def _conclusion(self, job: Mapping[str, object]) -> Span:
        now = self._clock.now()
        return conclusion(State(str(job["state"])), job["attempts"], job["created_at"], now, now)  # type: ignore[arg-type]
