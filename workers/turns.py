"""A thread beside the loop of the calls: it writes what the loop reports, and reads what all processes share."""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from synthralos.store.sql import outage
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)

Report = TypeVar("Report")

_MOST_WAITING = 10_000
"""Reports that may wait while the database is away: later ones say the same, or are made again."""


class Turns(Generic[Report]):
    """Calls `turn` whenever something was reported or heard, and after the seconds that it gave; once more at the end.

    What the database refuses is told as an outage, and tried again after `pause` seconds.
    """

    def __init__(self, name: str, turn: Callable[[], float], outages: Outages | None, pause: float) -> None:
        """`name` is the thread's, and says what it looks after."""
        self._name, self._turn, self._outages, self._pause = name, turn, outages or Outages(), pause
        self._reports: queue.Queue[Report] = queue.Queue(_MOST_WAITING)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Take the first turn; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Take the last turn, and no more."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(5)

    def report(self, report: Report) -> None:
        """There is something to write. Does not block."""
        with suppress(queue.Full):
            self._reports.put_nowait(report)
        self._wake.set()

    def wake(self) -> None:
        """There is something to read."""
        self._wake.set()

    def drained(self) -> list[Report]:
        """What was reported since."""
        reports: list[Report] = []
        with suppress(queue.Empty):
            while True:
                reports.append(self._reports.get_nowait())
        return reports

    def _run(self) -> None:
        while True:
            stopping, seconds = self._stopping.is_set(), self._pause
            try:
                seconds = self._turn()
            except StoreError as error:
                self._outages.failed(DATABASE, *outage.DIAGNOSES.of(error))
                self._stopping.wait(self._pause)
            except Exception:  # the edge of a thread without which nothing of it is shared
                log.exception("the %s could not be looked after", self._name)
                self._stopping.wait(self._pause)
            if stopping:
                return
            self._wake.wait(seconds)
            self._wake.clear()
