"""What the leader reads for the metrics of the whole installation: how much waits, and who lives.

One process alone reads it, so that the database is asked once however many processes there are; a scheduler that does
not lead (any more) shows none of it.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from synthralos.broker.protocol import Doorbell
from synthralos.config.settings import Settings
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.processes import Processes
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.read.backlogs import Backlogs
from synthralos.store.sql.database import Database
from synthralos.telemetry import families
from synthralos.telemetry.families import Family
from synthralos.telemetry.metrics import Labels, Metrics

SAMPLE_EVERY = 15.0
"""Seconds between two looks."""

Figures = Mapping[Labels, float]

SAMPLED = (
    families.QUEUE_JOBS,
    families.QUEUE_AGE,
    families.PARKED_JOBS,
    families.BACKLOG_JOBS,
    families.BACKLOG_AGE,
    families.EXPORTS_ASIDE,
    families.EXPORTS_STOPPED,
    families.PROCESSES,
    families.MESSAGES,
)
"""What a look fills in."""


class Sampling:
    """Holds the figures of the last look. `sample` is called by one thread, the metrics are read by others."""

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        settings: Settings,
        metrics: Metrics,
        leads: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backlogs = Backlogs(database, settings.ring_again_after)
        self._exports = ExportOperations(database)
        self._processes = Processes(database)
        self._fresh_within = settings.worker_lost_after
        self._doorbell = doorbell
        self._leads = leads
        self._clock = clock
        self._figures: Mapping[Family, Figures] = {}
        self._at = 0.0
        metrics.reads(families.LEADS, lambda: float(leads()))
        metrics.reads(families.SAMPLE_AGE, self._age)
        for family in SAMPLED:
            metrics.reads(family, lambda family=family: self._shown().get(family, {}))  # type: ignore[misc]

    def sample(self) -> bool:
        """Look again, where this scheduler leads; whether it does. Raises what the store raises."""
        if not self._leads():
            self._figures = {}
            return False
        queues, exports = self._backlogs.queues(), self._backlogs.exports()
        self._figures = {
            families.QUEUE_JOBS: {queue: backlog.count for queue, backlog in queues.items()},
            families.QUEUE_AGE: {queue: backlog.oldest for queue, backlog in queues.items()},
            families.PARKED_JOBS: {(): self._backlogs.parked()},
            families.BACKLOG_JOBS: {(name,): backlog.count for name, backlog in exports.items()},
            families.BACKLOG_AGE: {(name,): backlog.oldest for name, backlog in exports.items()},
            **self._destinations(),
            families.PROCESSES: self._living(),
            families.MESSAGES: self._messages(),
        }
        self._at = self._clock()
        return True

    def _destinations(self) -> dict[Family, Figures]:
        found = self._exports.standings()
        aside: dict[Labels, float] = {(each.name, "refused"): each.refused for each in found}
        aside |= {(each.name, "withheld"): each.withheld for each in found}
        return {
            families.EXPORTS_ASIDE: aside,
            families.EXPORTS_STOPPED: {(each.name,): float(each.stopped) for each in found},
        }

    def _living(self) -> Figures:
        kinds = Counter(p.kind for p in self._processes.living() if p.age < self._fresh_within)
        return {(kind,): kinds[kind] for kind in ("worker", "scheduler", "exporter")}

    def _messages(self) -> Figures:
        """What waits in the broker; a queue that cannot be asked for is left out."""
        depths = {(stage, lane): self._doorbell.depth(stage, lane) for stage in Stage for lane in Lane}
        return {queue: depth for queue, depth in depths.items() if depth is not None}

    def _shown(self) -> Mapping[Family, Figures]:
        return self._figures if self._leads() else {}

    def _age(self) -> Figures:
        return {(): self._clock() - self._at} if self._shown() else {}
