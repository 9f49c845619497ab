"""What fires schedules, put together once per scheduler process."""

from collections.abc import Callable
from typing import NamedTuple

from scheduler.firing import Firing, Started
from scheduler.firing_ends import FiringLooks
from synthralos.control.crowding import Crowding
from synthralos.control.operator import Operator
from synthralos.core import Core
from synthralos.store.queue.backfills import Backfills
from synthralos.store.queue.firing_ends import FiringEnds
from synthralos.store.queue.firings import Firings
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.operations import Operations
from synthralos.telemetry.writes import JobCounts


class FiringParts(NamedTuple):
    """What the process has to run: rounds of `firing`, and a look of `looks` every second. `crowding` is to start."""

    firing: Firing
    looks: FiringLooks
    crowding: Crowding


def build_firing(core: Core, lead: Callable[[], Lead | None]) -> FiringParts:
    """`lead`: by which lead this process fires, if it leads."""
    database, counts = core.database, JobCounts(core.metrics)
    operator = Operator(Operations(database), core.doorbell, core.bus, counts.ended)
    crowding = Crowding(core.bus)
    started = Started(core.doorbell, crowding, counts, core.metrics, core.settings.unclassified)
    firings = Firings(database)
    looks = FiringLooks(
        firings, FiringEnds(database), Backfills(database), lead, lambda: core.live.current.flags, started
    )
    return FiringParts(Firing(firings, lead, operator, started), looks, crowding)
