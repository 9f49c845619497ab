"""What the analyze actor does: closes traces that no worker closed on its way, and wakes those who empty the backlog.

Each destination has a thread of its own outside Dramatiq's pool: a destination that hangs holds up neither jobs nor
the other destinations.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter

from pipelines.analyze.protocol import Exporter, Trace
from pipelines.analyze.stage import conclusion
from pipelines.analyze.trace import assemble
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.domain.states import State
from synthralos.store.exports.backlog import Analysis, Owed
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.clock import DatabaseClock
from synthralos.telemetry.families import EXPORTED
from synthralos.telemetry.metrics import Children, Metrics
from synthralos.telemetry.outages import Reminder

log = logging.getLogger(__name__)

TRIES_TOLD = 8
"""Shipments after which a trace that is still refused is told of, once."""

SHIPMENT = 20
"""Traces a batch: what the destinations' own batch sizes are made for."""


class TraceExporter:
    """Works through jobs that are finished. Doing it twice does no harm."""

    def __init__(
        self,
        reader: Reader,
        analysis: Analysis,
        exporters: Mapping[str, Exporter],
        clock: DatabaseClock,
        exports: Callable[[str], bool] = lambda organization: True,
        metrics: Metrics | None = None,
    ) -> None:
        """`exports` says whether the traces of an organization's jobs are exported."""
        counted = (metrics or Metrics()).counters(EXPORTED)
        self._reader = reader
        self._analysis = analysis
        self._clock = clock
        self._exports = exports
        self._shippers = [Shipper(reader, analysis, exporter, counted) for exporter in exporters.values()]

    def start(self) -> None:
        """Be ready to ship."""
        for shipper in self._shippers:
            shipper.start()

    def analyze(self, job_ids: Sequence[str]) -> None:
        """Close the open traces among `job_ids`; each exporter ships what it is owed, in its own time."""
        open_traces = self._analysis.open_traces(job_ids)
        if open_traces:
            found = self._reader.jobs(open_traces, EVERYTHING)
            not_exported = {job_id for job_id, job in found.items() if not self._exports(job["organization"])}
            self._analysis.close({job_id: self._conclusion(job) for job_id, job in found.items()}, not_exported)
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

    def _conclusion(self, job: Mapping[str, object]) -> Span:
        now = self._clock.now()
        return conclusion(State(str(job["state"])), job["attempts"], job["created_at"], now, now)  # type: ignore[arg-type]


class Shipper:
    """One destination's thread: ships what the destination is owed whenever it is woken."""

    def __init__(self, reader: Reader, analysis: Analysis, exporter: Exporter, counted: Children[Counter]) -> None:
        self._counted = counted
        self._reader = reader
        self._analysis = analysis
        self._exporter = exporter
        self._reminder = Reminder()
        self._changed = threading.Condition()
        self._wanted = self._ships = self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"export-{exporter.destination}", daemon=True)

    def start(self) -> None:
        """Begin to wait for being woken."""
        self._thread.start()

    def wake(self) -> None:
        """Look what is owed; once more, where that is being done."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def rest(self, timeout: float) -> bool:
        """Wait until nothing is to be done."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wanted and not self._ships, timeout)

    def ask_to_stop(self) -> None:
        """Stop after the batch that is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        if not self._thread.is_alive():
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("%s still ships; what it does not accept stays in the backlog", self._exporter.destination)

    def _run(self) -> None:
        while self._next():
            try:
                self._ship_all()
            except Exception:  # the edge of a thread: the backlog stays, and the sweeper rings again
                log.exception("shipping to %s failed", self._exporter.destination)
        self._exporter.close()

    def _next(self) -> bool:
        """Wait to be woken; False when it is over."""
        with self._changed:
            self._ships = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wanted or self._stopping)
            self._wanted, self._ships = False, not self._stopping
            return self._ships

    def _ship_all(self) -> None:
        """Ship until nothing is due. Where all of a shipment is refused the destination is left alone for now."""
        destination = self._exporter.destination
        while not self._stopping and (owed := self._analysis.claim(destination, SHIPMENT)):
            traces = self._traces([each.job_id for each in owed])
            gone = {each.job_id for each in owed} - traces.keys()  # retention has removed them: nothing is left to ship
            done = gone | self._accepted(list(traces.values()))
            self._analysis.shipped(destination, sorted(done))
            refused = [each for each in owed if each.job_id not in done]
            self._count({"accepted": len(done) - len(gone), "gone": len(gone), "refused": len(refused)})
            if refused:
                self._analysis.put_off(destination, refused)
                self._tell(refused)
            if len(refused) == len(owed):
                return

    def _traces(self, job_ids: Sequence[str]) -> dict[str, Trace]:
        found = self._reader.jobs(job_ids, EVERYTHING)
        timelines = self._reader.timelines(list(found))
        return {job_id: assemble(found[job_id], timelines[job_id]) for job_id in job_ids if job_id in found}

    def _accepted(self, traces: list[Trace]) -> set[str]:
        """What the destination accepts; an exporter that raises has refused them all."""
        try:
            return set(self._exporter.ship(traces)) if traces else set()
        except Exception as error:  # noqa: BLE001 - the edge to pluggable code: the backlog stays, and comes again
            if self._reminder.due(time.monotonic()):
                reason = str(error) if isinstance(error, OSError) else type(error).__name__
                log.warning("%s refuses traces, they come again: %s", self._exporter.destination, reason)
            return set()

    def _count(self, outcomes: Mapping[str, int]) -> None:
        for outcome, number in outcomes.items():
            if number:
                self._counted[self._exporter.destination, outcome].inc(number)

    def _tell(self, refused: Sequence[Owed]) -> None:
        """A trace that is refused again and again while others are taken is worth a look."""
        for job_id, tries in refused:
            if tries == TRIES_TOLD:
                destination = self._exporter.destination
                log.warning("%s has refused the trace of job %s %d times; it stays owed", destination, job_id, tries)
