"""The heartbeat: one row per worker process says that its claims still hold."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from synthralos.store.admin.processes import Processes
from synthralos.store.sql import outage
from synthralos.store.sql.clock import DatabaseClock
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.retrying import keep_trying
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)


class Heartbeat:
    """Registers this process and beats until it is stopped.

    A worker that finds itself declared lost (it was stopped, or cut off, for too long) goes on under a new
    identity: what it still has in its hands is fenced out, and only corrects the ledger.
    """

    def __init__(
        self,
        processes: Processes,
        kind: str,
        stages: Sequence[str],
        interval: float,
        lost_after: float = 15.0,
        monotonic: Callable[[], float] = time.monotonic,
        outages: Outages | None = None,
        identified: Callable[[str], None] = lambda process_id: None,
    ) -> None:
        """`interval` in seconds between two beats; after `lost_after` seconds of silence others declare us lost.

        `identified` is called with each identity that this process gets; it must not block.
        """
        self._identified = identified
        self._processes = processes
        self._kind = kind
        self._stages = stages
        self._interval = interval
        self._lost_after = lost_after
        self._monotonic = monotonic
        self._last_beat = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._outages = outages or Outages()
        self.clock = DatabaseClock()
        self.process_id = ""

    def start(self, patience: float = 60.0) -> None:
        """Register, waiting up to `patience` seconds for the database, learn its time, and begin to beat.

        Raises `Stopped` after `give_up`, and what the database answered last where it lasts.
        """
        self._when_it_works(self._register, patience)
        self._when_it_works(self._beat, patience)
        self._thread.start()

    def give_up(self) -> None:
        """Wait for the database no longer: the process has to stop before it has begun."""
        self._stop.set()

    @property
    def beats(self) -> bool:
        """Whether the last beat is so young that nobody can have declared this process lost, and another will come."""
        return self._thread.is_alive() and self.age < self._lost_after

    @property
    def age(self) -> float:
        """Seconds since the last beat that the database has."""
        return self._monotonic() - self._last_beat

    def mark(self, state: str) -> None:
        """Say that the process drains or has stopped."""
        try:
            self._processes.mark(self.process_id, state)
        except StoreError as error:
            log.warning("could not mark this process as %s: %s", state, type(error).__name__)

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join(5)

    def _register(self) -> None:
        self.process_id = self._processes.register(self._kind, self._stages)
        self._identified(self.process_id)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - the edge of a thread without which this worker is declared lost
                self._report(error)
            else:
                self._outages.works(DATABASE)

    def _beat(self) -> None:
        began = self._monotonic()
        now = self._processes.beat(self.process_id)
        if now is not None:
            self.clock.set(now)
            self._last_beat = began
            return
        lost = self.process_id
        self._register()
        self._last_beat = began
        log.error("process %s was declared lost; going on as %s", lost, self.process_id)

    def _when_it_works(self, action: Callable[[], None], patience: float) -> None:
        """A schema that is not there yet is waited for too: whoever migrates may be about to."""
        keep_trying(action, stopping=self._stop, patience=patience, passes=_of_the_store, tell=self._report)
        self._outages.works(DATABASE)

    def _report(self, error: Exception) -> None:
        self._outages.failed(DATABASE, *outage.DIAGNOSES.of(error))


def _of_the_store(error: Exception) -> bool:
    return isinstance(error, StoreError)
