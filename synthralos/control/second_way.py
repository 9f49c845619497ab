"""The second way: what was rung directly is rung over the broker, unless somebody came for it in the meantime."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from synthralos.broker.protocol import Doorbell
from synthralos.control.ringing import Place, ring_for

log = logging.getLogger(__name__)

PATIENCE = 0.1
"""Seconds that a direct ring may take to be heard of."""

LOOK_EVERY = 0.05
"""Seconds between two looks at the database, so that many jobs share one."""

LIMIT = 20_000
"""Ids that are watched; what comes above it is rung at once."""

_Watched = tuple[float, Place]


class SecondWay:
    """Watches over direct rings, oldest first, in a thread of its own. Thread-safe.

    What the bus says is over, or has moved, is forgotten. When its time has come, the database is asked once for all
    that are left: a call may take longer than `patience`, and a job that runs needs no ring.

    For metrics: `rung_ids`, for which nobody came in time.
    """

    def __init__(
        self,
        doorbell: Doorbell,
        still_queued: Callable[[Sequence[str]], Collection[str]],
        patience: float = PATIENCE,
        limit: int = LIMIT,
    ) -> None:
        """`still_queued` gives those of some ids that nobody came for; where it fails, all of them are rung."""
        self.rung_ids = 0
        self._doorbell = doorbell
        self._still_queued = still_queued
        self._patience = patience
        self._limit = limit
        self._watched: dict[str, _Watched] = {}
        self._changed = threading.Condition()
        self._rests = self._closed = False
        self._looked_at = 0.0
        self._thread = threading.Thread(target=self._run, name="second-way", daemon=True)
        self._thread.start()

    def watch(self, places: Sequence[Place]) -> None:
        """The jobs were rung directly."""
        with self._changed:
            if not self._closed and len(self._watched) + len(places) <= self._limit:
                until = time.monotonic() + self._patience
                self._watched.update({place[2]: (until, place) for place in places})
                if self._rests:
                    self._changed.notify_all()
                return
        ring_for(self._doorbell, places)

    def heard(self, job_ids: Sequence[str] | None) -> None:
        """The bus's listener: these jobs need no ring any more. None says nothing about any of them."""
        with self._changed:
            for job_id in job_ids or () if self._watched else ():
                self._watched.pop(job_id, None)

    def close(self) -> None:
        """Ring for everything that is still watched, now."""
        with self._changed:
            self._closed = True
            left, self._watched = self._watched, {}
            self._changed.notify_all()
        self._ring(left.values())
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closed:
            due = self._due()
            if due:
                queued = self._ask(list(due))
                self._ring(watched for job_id, watched in due.items() if job_id in queued)

    def _ask(self, ids: list[str]) -> set[str]:
        try:
            return set(self._still_queued(ids))
        except Exception as error:  # noqa: BLE001 - the edge of a thread: whatever happened, ringing does no harm
            log.warning("cannot ask which jobs still wait, and ring for them: %s", type(error).__name__)
            return set(ids)

    def _due(self) -> dict[str, _Watched]:
        """Wait until something may be due; what is."""
        with self._changed:
            self._rests = True
            self._changed.wait_for(lambda: self._watched or self._closed)
            self._rests = False
            self._changed.wait_for(lambda: self._closed, self._next_look() - time.monotonic())
            now, due = time.monotonic(), {}
            while self._watched and self._first() <= now:
                job_id = next(iter(self._watched))
                due[job_id] = self._watched.pop(job_id)
            self._looked_at = now
            return due

    def _next_look(self) -> float:
        return max(self._first(), self._looked_at + LOOK_EVERY)

    def _first(self) -> float:
        """When the oldest is due; now where nothing is watched."""
        return next((until for until, _ in self._watched.values()), 0.0)

    def _ring(self, watched: Iterable[_Watched]) -> None:
        places = [place for _, place in watched]
        self.rung_ids += len(places)
        ring_for(self._doorbell, places)
