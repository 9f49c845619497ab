"""What the leader drops of exports: what is owed for too long, and what is beyond the bound of a destination."""

import logging
from collections import Counter
from collections.abc import Callable

from synthralos.config.settings import Settings
from synthralos.store.exports.pruning import ExportPruning
from synthralos.store.sql.database import Database
from synthralos.telemetry.families import EXPORTS_DROPPED
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

DAY = 86_400.0


class DroppingExports:
    """Counts and tells whatever it drops."""

    def __init__(self, database: Database, settings: Settings, metrics: Metrics) -> None:
        self._pruning = ExportPruning(database)
        self._seconds, self._most = settings.export_max_age_days * DAY, settings.export_backlog_most
        self._counted = metrics.counters(EXPORTS_DROPPED)

    def round(self) -> None:
        """Drop what has to be, in small transactions."""
        self._drop(lambda: self._pruning.too_old(self._seconds), "too_old")
        self._drop(lambda: self._pruning.too_many(self._most), "too_many")
        while self._pruning.forgotten(self._seconds):
            pass

    def _drop(self, some: Callable[[], Counter[str]], reason: str) -> None:
        dropped: Counter[str] = Counter()
        while found := some():
            dropped += found
        for destination, number in sorted(dropped.items()):
            self._counted[destination, reason].inc(number)
            log.warning("%d traces were dropped, %s never got them: %s", number, destination, reason.replace("_", " "))
