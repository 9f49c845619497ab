"""Connection pools that say how full they are, and how long one waits for a connection."""

import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy.pool import PoolProxiedConnection, QueuePool


class WatchedPool(QueuePool):
    """A pool of PostgreSQL connections.

    `waits` counts how often all connections were in use, `wait_seconds` how long that was waited for: about, because
    threads count without a lock.
    """

    # By it SQLAlchemy names the pool's logger; under another name than its own, each connection would be logged.
    __module__ = QueuePool.__module__

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.name = ""
        self.waits = 0
        self.wait_seconds = 0.0
        self.most = self.size() + self._max_overflow

    def connect(self) -> PoolProxiedConnection:
        """A connection of the pool."""
        if self.checkedout() < self.most:
            return super().connect()
        began = time.perf_counter()
        try:
            return super().connect()
        finally:
            self.waits += 1
            self.wait_seconds += time.perf_counter() - began

    def states(self) -> Iterator[tuple[str, int]]:
        """(state, connections)."""
        yield "in_use", self.checkedout()
        yield "idle", self.checkedin()
        yield "most", self.most
