"""An event for tests: something was written to the database, or said on the bus."""

import threading
from collections.abc import Callable

import sqlalchemy as sa

from synthralos.bus.protocol import Bus, Topic
from synthralos.store.sql.database import Database


class Heard:
    """Every write of this process and everything that the bus says wakes who waits here."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._news = threading.Condition()
        self._count = 0
        for topic in Topic:
            bus.subscribe(topic, self._note)
        # A connection is given back when its transaction is durable.
        for engine in (database.write, database.quick):
            sa.event.listen(engine, "checkin", self._note)

    def until(self, holds: Callable[[], bool], timeout: float = 30.0) -> None:
        """Return when it holds; looks whenever something was heard."""
        while True:
            seen = self._count
            if holds():
                return
            self._wait_for_more_than(seen, timeout)

    def _wait_for_more_than(self, seen: int, timeout: float) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self._count > seen, timeout), "nothing was heard"

    def _note(self, *_: object) -> None:
        with self._news:
            self._count += 1
            self._news.notify_all()
