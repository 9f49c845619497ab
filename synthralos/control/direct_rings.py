"""Which worker is rung directly: any that lives and serves the stage, each in its turn."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence

from synthralos.control.ring_channels import channel_of, encode_ring
from synthralos.control.ringing import Place, grouped
from synthralos.store.admin.processes import ProcessRow
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.notices import Notice

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the living workers."""

MOST_IDS = 200
"""Jobs of one ring: an id has 36 characters, and a notification takes less than 8,000 bytes."""

_KNOWN_FOR = 5.0
"""Seconds after which what was seen is not trusted any more, because the database did not answer since."""


class DirectRings:
    """Knows the living workers, and words the notices that ring them. It looks in a thread of its own."""

    def __init__(self, living: Callable[[], Sequence[ProcessRow]], fresh: float) -> None:
        """`living` gives the worker processes; those that beat within `fresh` seconds are rung.

        `rung_ids` counts the jobs that were rung for.
        """
        self._living = living
        self._fresh = fresh
        self.rung_ids = 0
        self._turn = itertools.count()
        self._seen: dict[str, list[str]] = {}
        self._seen_at = -_KNOWN_FOR
        self._starting = threading.Lock()
        self._begun = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="direct-rings", daemon=True)

    def start(self) -> None:
        """Look at once, then again and again. It may be said more than once; what was closed stays closed."""
        with self._starting:
            if not self._begun and not self._stop.is_set():
                self._begun = True
                self.look()
                self._thread.start()

    def close(self) -> None:
        """Look no more, and ring nobody."""
        self._stop.set()
        self._seen = {}
        if self._thread.is_alive():
            self._thread.join(5)

    def notices(self, places: Sequence[Place]) -> list[Notice]:
        """What rings for these jobs, a worker for each 200 of a stage and lane; empty where one has no known worker."""
        groups = grouped(places)
        seen = self._seen if time.monotonic() - self._seen_at <= _KNOWN_FOR else {}
        if not all(seen.get(stage) for stage, _ in groups):
            return []
        self.rung_ids += len(places)
        return [
            Notice(self._channel(seen[stage]), encode_ring(stage, lane, ids[i : i + MOST_IDS]))
            for (stage, lane), ids in groups.items()
            for i in range(0, len(ids), MOST_IDS)
        ]

    def _channel(self, workers: Sequence[str]) -> str:
        return channel_of(workers[next(self._turn) % len(workers)])

    def look(self) -> None:
        """See who lives now."""
        try:
            rows = self._living()
        except StoreError as error:
            log.debug("cannot look for workers: %s", error)
            return
        seen: dict[str, list[str]] = {}
        for row in rows:
            if row.state == "running" and row.age < self._fresh:
                for stage in row.stages:
                    seen.setdefault(stage, []).append(row.id)
        self._seen, self._seen_at = seen, time.monotonic()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            self.look()
