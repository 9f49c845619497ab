"""What recurs while a process leads, but for sweeping and firing: its jobs, and how often each looks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from scheduler.bulk import BULK_EVERY, BulkRunner
from scheduler.digesting import DIGEST_EVERY, Digesting
from scheduler.dropping import DroppingExports
from scheduler.erasing import ERASE_EVERY, ErasureRunner
from scheduler.keeping import KEEP_EVERY, KeepingTask
from scheduler.monitoring.monitor import LOOK_EVERY as MONITOR_EVERY
from scheduler.monitoring.parts import build_monitoring
from scheduler.monitoring.repairs import IncidentRepairer
from scheduler.sampling import SAMPLE_EVERY, Sampling
from scheduler.watched import Watched
from synthralos.bus.protocol import Topic
from synthralos.control.operator import Operator
from synthralos.core import Core
from synthralos.store.queue.budgets import OrphanedHolds
from synthralos.store.queue.bulk import BulkOperations
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.operations import Operations
from synthralos.store.retention.cost_sums import CostSums

DROP_EXPORTS_EVERY = 300.0
"""Seconds between looks for traces that destinations of exports will never get."""

SUM_COSTS_EVERY = 60.0
"""Seconds between looks for an hour of the ledger that is over."""

SETTLE_BUDGETS_EVERY = 60.0
"""Seconds between looks for money that budgets hold for calls which have ended."""

HOURS_A_ROUND = 24
"""Hours of the ledger that are summed before it is asked again whether this process leads."""


class Recurring(NamedTuple):
    """A job by its name. It is False where this process does not lead. `watched`: it looks at once when it hears."""

    name: str
    job: Callable[[], bool]
    seconds: float
    watched: Watched | None = None
    topic: Topic | None = None


class LeaderJobs:
    """Built once a process; each job asks whether this process leads."""

    def __init__(self, core: Core, lead: Callable[[], Lead | None], repairer: IncidentRepairer | None = None) -> None:
        """`repairer`: who repairs incidents that the monitor's own repairs do not mend."""
        self._lead = lead
        self._exports = DroppingExports(core.database, core.settings, core.metrics)
        self._held_money = OrphanedHolds(core.database)
        self._cost_sums = CostSums(core.database)
        digesting = Digesting(
            core.database, core.settings.observe_share, self._leads, told=lambda: core.bus.publish(Topic.FEED, ["ends"])
        )
        share, times = core.settings.retention_share, lambda: core.live.current.retention
        keeping = KeepingTask(core.database, times, share, self._leads, core.metrics)
        operator = Operator(Operations(core.database), core.doorbell, core.bus)
        erasing = ErasureRunner(core.database, operator, [core.streams.forget], share, self._leads)
        sampling = Sampling(core.database, core.doorbell, core.settings, core.metrics, self._leads)
        bulk = BulkRunner(BulkOperations(core.database), core.doorbell, core.bus, self._leads)
        monitoring = build_monitoring(core, lead, repairer)
        self.all: Sequence[Recurring] = (
            Recurring("housekeeping", keeping.round, KEEP_EVERY),
            _watched("erasures", erasing, ERASE_EVERY, Topic.OPERATIONS),
            Recurring("exports", self._drop_exports, DROP_EXPORTS_EVERY),
            _watched("bulk operations", bulk, BULK_EVERY, Topic.OPERATIONS),
            Recurring("cost sums", self._sum_costs, SUM_COSTS_EVERY),
            Recurring("budgets", self._settle_budgets, SETTLE_BUDGETS_EVERY),
            Recurring("digest", digesting.round, DIGEST_EVERY),
            Recurring("sampling", sampling.sample, SAMPLE_EVERY),
            _watched("monitor", monitoring, MONITOR_EVERY),
        )

    def _leads(self) -> bool:
        return self._lead() is not None

    def _sum_costs(self) -> bool:
        """Sum the hours of the ledger that are over; after a long absence, round after round while this leads."""
        while self._leads():
            if self._cost_sums.round(HOURS_A_ROUND) < HOURS_A_ROUND:
                return True
        return False

    def _drop_exports(self) -> bool:
        if led := self._leads():
            self._exports.round()
        return led

    def _settle_budgets(self) -> bool:
        if led := self._leads():
            self._held_money.settle()
        return led


class _Runner(Protocol):
    """`busy`: whether the last round left anything under way."""

    @property
    def busy(self) -> bool: ...

    def round(self) -> bool: ...


def _watched(name: str, runner: _Runner, seconds: float, topic: Topic | None = None) -> Recurring:
    watched = Watched(runner.round, lambda: runner.busy)
    return Recurring(name, watched, seconds, watched, topic)
