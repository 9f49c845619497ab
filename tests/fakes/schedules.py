"""Schedules on a real database, and a leader that fires them when a test says so."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from scheduler.firing import Firing, Started
from scheduler.firing_ends import FiringLooks
from synthralos.bus.memory import MemoryBus
from synthralos.control.crowding import Crowding
from synthralos.control.operator import Operator
from synthralos.domain.flags import Flags
from synthralos.domain.ids import new_id
from synthralos.domain.schedules import Schedule
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.admin.processes import Leadership
from synthralos.store.admin.schedules import Schedules, StoredSchedule
from synthralos.store.queue.backfills import Backfills
from synthralos.store.queue.firing_ends import FiringEnds
from synthralos.store.queue.firings import Firings
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.operations import Operations
from synthralos.store.tables import firings, schedules
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.writes import JobCounts
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import attempt_end, failure, settlement, start
from tests.fakes.stores import Store

ANN = By("key:ann", "because")
JOB = {"prompt": "How was the night?", "model": "auto"}


def schedule(**fields: Any) -> Schedule:
    """One that fires every hour, unless it is said otherwise."""
    timing = {} if "cron" in fields or "interval_seconds" in fields else {"cron": "@hourly"}
    said = {"name": "nightly", "job": None if fields.get("steps") else JOB, **timing, **fields}
    return Schedule(new_id(), "acme", "main", **said)


class Leader:
    """A scheduler's firing on a database, one round at a time."""

    def __init__(self, store: Store, *, flags: Flags | None = None, lead: Lead | None = None) -> None:
        self.store = store
        self.database = store.database
        self.schedules = Schedules(store.database)
        self.firings = Firings(store.database)
        self.backfills = Backfills(store.database)
        self.doorbell = RecordingDoorbell()
        self.metrics = Metrics()
        self.lead = lead or self.won()
        bus = MemoryBus()
        counts = JobCounts(self.metrics)
        started = Started(self.doorbell, Crowding(bus), counts, self.metrics)
        operator = Operator(Operations(store.database), self.doorbell, bus, counts.ended)
        self.firing = Firing(self.firings, lambda: self.lead, operator, started)
        self.looks = FiringLooks(
            self.firings, FiringEnds(store.database), self.backfills, lambda: self.lead,
            lambda: flags or Flags(), started, chance=lambda: 0.0, rest=0.0,
        )  # fmt: skip

    def won(self) -> Lead:
        """The lead, of a process that has just been registered."""
        holder = self.store.processes.register("scheduler")
        term = Leadership(self.database, "scheduler", holder, 600.0).campaign()
        assert term is not None
        return Lead("scheduler", holder, term)

    def made(self, due: datetime | None = None, **fields: Any) -> StoredSchedule:
        """A new schedule; with `due` that is its next tick."""
        made = self.schedules.create(schedule(**fields), ANN)
        if due is not None:
            self.set_due(made.id, due)
        return self.now(made.id)

    def set_due(self, schedule_id: str, due: datetime) -> None:
        """Have it be due at that time, as if nobody had fired it since."""
        self.store.update(schedules, schedules.c.id == schedule_id, next_fire_at=due, next_due_at=due)

    def now(self, schedule_id: str) -> StoredSchedule:
        """The schedule as it stands."""
        found = self.schedules.get(schedule_id, EVERYTHING)
        assert found is not None
        return found

    def fire(self) -> None:
        """Rounds until nothing is due."""
        while self.firing.round() < 0.01:
            continue

    def rows(self, schedule_id: str) -> list[dict[str, Any]]:
        """Its firings, in order."""
        found = self.store.rows(firings, firings.c.schedule_id == schedule_id)
        return sorted(found, key=lambda row: str(row["fire_at"]))

    def outcomes(self, schedule_id: str) -> list[str]:
        """What became of its ticks, in order."""
        return [row["outcome"] for row in self.rows(schedule_id)]

    def end(self, job_ids: Sequence[str], transition: Transition = Transition.SUCCEED) -> None:
        """End the jobs as a worker would, and look."""
        for job_id in job_ids:
            [job] = self.store.claim([job_id])
            self.store.settlements.start([start(job)])
            more = {"failure": failure().to_json()} if transition is Transition.FAIL else {}
            assert self.store.settle(settlement(job, transition, attempt=attempt_end(1), **more))
        self.looks.look()


def hour(moment: datetime, ago: int = 0) -> datetime:
    """The full hour before that, or so many earlier."""
    return moment.replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago)
