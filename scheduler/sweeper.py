"""The sweeper: finds the jobs whose time has come or that nobody came for, and rings for them.

Any number of sweepers may run at once: every move is one fenced statement in the store. One leads only so that
the work is not done twice. Cron schedules get a file of their own beside this one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from scheduler.entrance import Entrance, Weights
from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.config.settings import Settings
from synthralos.control.ringing import ring_for
from synthralos.domain.states import Lane, Stage, State
from synthralos.domain.work_items import WorkItem
from synthralos.store.queue.lines import Lines
from synthralos.store.queue.sweeps import Sweeps
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import is_contention, is_transient
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics

Moved = TypeVar("Moved")

BATCH = 1000
"""Jobs that one transaction moves."""

BATCHES_A_ROUND = 20
"""Full batches in a row after which a step lets the other steps of the round have their turn."""

RING_AGAIN_LIMIT = 2000
"""Jobs that are rung again per round, stage and lane."""

FEW_MESSAGES = 4
"""With this many messages waiting in the broker, workers are busy: few of the jobs that wait have lost their ring."""

OVERDUE_AFTER = 600.0
"""Seconds after which a job is rung again however many messages wait: a lane that is always busy hides a lost ring."""

OVERDUE_EVERY = 60.0
"""Seconds between two looks for overdue jobs."""

OVERDUE_LIMIT = 500
"""Overdue jobs that are rung again with each look, per stage and lane, the oldest first. In a backlog most of them have
their message still: a bound that is small beside what a lane works off in that time keeps the needless rings few."""

RESCUE_EVERY = 30.0
"""Seconds between looks for jobs of dead workers where no worker was declared lost."""

RESCUE_FOR = 12.0
"""Seconds for which each round looks after a worker was declared lost: what its session has begun ends within."""

SHORTEST_PAUSE = 0.01
"""Seconds: what is due and was not moved has been locked by somebody."""

LONGEST_PAUSE = 2.0
"""Seconds after which the processes of this machine are looked at again, whatever else there is to do."""


class Sweeper:
    """One `round` after another, by whoever leads. Not thread-safe."""

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        bus: Bus,
        settings: Settings,
        *,
        clock: Callable[[], datetime] | None = None,
        metrics: Metrics | None = None,
        weights: Weights = lambda path, plan: (1.0,) * len(path),
    ) -> None:
        """`clock` is the database's, by which heartbeats are judged; `weights` tell how lines share."""
        self._sweeps = Sweeps(database, settings.max_losses)
        metrics = metrics or Metrics()
        self._moved = metrics.counter(families.SWEPT)
        self._ended = metrics.counter(families.ENDED)
        self._doorbell = doorbell
        self._bus = bus
        self._lost_after = settings.worker_lost_after
        self._ring_again_after = settings.ring_again_after
        self._clock = clock or self._sweeps.clock
        self._longest_pause = min(LONGEST_PAUSE, settings.worker_lost_after / 6)
        self._silence = _Watch(max(settings.worker_lost_after / 3, 3 * settings.sweep_interval))
        self._listening = _Pace(settings.worker_lost_after / 6)
        self._rescuing = _Pace(RESCUE_EVERY)
        self._lost_a_worker = _Span(RESCUE_FOR)
        self._ringing_again = _Pace(settings.ring_again_after / 4)
        self._looking_for_overdue = _Pace(OVERDUE_EVERY)
        self._entrance = Entrance(Lines(database), doorbell, bus, weights)
        self._crowded = False
        self._left_some = False

    def begin(self) -> None:
        """Start anew, as at the start of a lead: nothing is known of what happened until now."""
        self._silence.reset()
        self._rescuing.reset()
        self._ringing_again.reset()
        self._looking_for_overdue.reset()

    def round(self) -> float:
        """Do everything that is due; the seconds after which there is more to do. 0: some is left.

        Raises what the store raises, when every step had its turn. An outage ends the round at once: the database is
        away for all of them. A lock or a statement that took too long ends its own step.
        """
        errors: list[Exception] = []
        self._left_some = False
        try:
            now = self._clock()
            self._silence.see(now)
            due = self._due()
            always = (self._time_out, self._call, self._free, self._ring_again)
            for step in (self._wake, self._expire) * (due <= 0) + always:
                self._attempt(step, now, errors)
            pause = self._due() if due <= 0 else due
        except Exception:
            self._silence.reset()
            raise
        if errors:
            raise errors[0]
        if self._left_some:
            return 0.0
        return SHORTEST_PAUSE if self._crowded else max(pause, SHORTEST_PAUSE)

    def _due(self) -> float:
        """Seconds until a job is due, as far as that is within the longest pause."""
        due = self._sweeps.due()
        return self._longest_pause if due is None else min(due, self._longest_pause)

    @staticmethod
    def _attempt(step: Callable[[datetime], None], now: datetime, errors: list[Exception]) -> None:
        try:
            step(now)
        except Exception as error:
            if is_transient(error) and not is_contention(error):
                raise
            errors.append(error)

    def _wake(self, now: datetime) -> None:
        for woken in self._batches(self._sweeps.wake_due):
            self._moved.labels("woken").inc(len(woken))
            self._count_ends(State.DENIED, woken)
            self._tell_and_ring(woken)

    def _time_out(self, now: datetime) -> None:
        """Let the defaults of waits hold that no job is parked for: those who ask for their answer are told."""
        for answered in self._batches(self._sweeps.time_out_waits):
            self._bus.publish(Topic.CHANGED, answered)

    def _call(self, now: datetime) -> None:
        """Let bulk jobs in whose turn it is."""
        called = self._entrance.round()
        self._crowded = called is not None
        self._moved.labels("called").inc(called or 0)

    def _expire(self, now: datetime) -> None:
        for expired in self._batches(self._sweeps.expire):
            self._moved.labels("expired").inc(len(expired))
            self._count_ends(State.EXPIRED, expired)
            self._tell_and_ring(expired)

    def _free(self, now: datetime) -> None:
        """Declare workers lost, and give their jobs to others; now and then look for what was overlooked."""
        lost = self._sweeps.declare_gone()
        if self._silence.seconds(now) > self._lost_after and self._listening.due(now):
            lost += self._sweeps.declare_silent(now - timedelta(seconds=self._lost_after))
        if lost:
            self._lost_a_worker.begin(now)
        # A dead worker's session may hold its rows for a moment longer.
        if self._lost_a_worker.lasts(now) or self._rescuing.due(now):
            for freed in self._batches(self._sweeps.rescue):
                self._moved.labels("freed").inc(len(freed))
                self._count_ends(State.FAILED, freed)
                self._tell_and_ring(freed)

    def _ring_again(self, now: datetime) -> None:
        """Ring for jobs that nobody came for; for overdue ones alone where the broker still has messages of theirs."""
        if not self._ringing_again.due(now):
            return
        overdue_too = self._looking_for_overdue.due(now)
        for stage, lane in self._sweeps.unclaimed_queues(self._ring_again_after):
            if (bounds := self._bounds(stage, lane, overdue_too)) is not None:
                unclaimed = self._sweeps.unclaimed_jobs(stage, lane, *bounds)
                self._moved.labels("rung_again").inc(len(unclaimed))
                self._ring(unclaimed)
                if len(unclaimed) == RING_AGAIN_LIMIT:
                    self._ringing_again.reset()
        if self._unfinished(self._ring_again_after, 1):
            bounds = self._bounds(Stage.ANALYZE, Lane.BULK, overdue_too)
            self._ring(self._unfinished(*bounds) if bounds is not None else ())

    def _bounds(self, stage: Stage, lane: Lane, overdue_too: bool) -> tuple[float, int] | None:
        """For how many seconds nobody came for the jobs that are to be rung again, and the most of them.

        Where the stage's queue is all but empty, jobs that wait there have no message any more. None: ring for none.
        """
        depth = self._doorbell.depth(stage, lane)
        if depth is None:
            return None
        if depth < FEW_MESSAGES:
            return self._ring_again_after, RING_AGAIN_LIMIT
        return (max(OVERDUE_AFTER, self._ring_again_after), OVERDUE_LIMIT) if overdue_too else None

    def _unfinished(self, after: float, limit: int) -> list[WorkItem]:
        """Jobs that are over, and whose traces wait to be closed or shipped."""
        found = self._sweeps.unanalyzed(after, limit) or self._sweeps.backlog(after, limit)
        return [WorkItem(item.id, Stage.ANALYZE, Lane.BULK) for item in found]

    def _count_ends(self, state: State, items: list[WorkItem]) -> None:
        """Those that are at analyze by now have ended."""
        for lane, count in Counter(item.lane for item in items if item.stage is Stage.ANALYZE).items():
            self._ended.labels(lane, state).inc(count)

    def _tell_and_ring(self, items: list[WorkItem]) -> None:
        """What is over by now is at analyze: say so to those who wait for it."""
        self._bus.publish(Topic.FINISHED, [step.id for step in items if step.stage is Stage.ANALYZE])
        self._ring(items)

    def _batches(self, sweep: Callable[[int], list[Moved]]) -> Iterator[list[Moved]]:
        """Batch after batch, within bounds: what is left has its turn in the next round, which then comes at once."""
        for _ in range(BATCHES_A_ROUND):
            moved = sweep(BATCH)
            if moved:
                yield moved
            if len(moved) < BATCH:
                return
        self._left_some = True

    def _ring(self, items: Iterable[WorkItem]) -> None:
        ring_for(self._doorbell, ((step.stage, step.lane, step.id) for step in items))


class _Watch:
    """For how long the database has been seen without a gap: in a gap, nobody else could beat either."""

    def __init__(self, longest_gap: float) -> None:
        self._longest_gap = timedelta(seconds=longest_gap)
        self._since: datetime | None = None
        self._last: datetime | None = None

    def see(self, now: datetime) -> None:
        """The database answered at `now`, by its own clock (which may have been set: that is a gap as well)."""
        if self._last is None or not timedelta(0) <= now - self._last <= self._longest_gap:
            self._since = now
        self._last = now

    def reset(self) -> None:
        """The database did not answer."""
        self._last = None

    def seconds(self, now: datetime) -> float:
        """Seconds without a gap until `now`."""
        return 0.0 if self._since is None or self._last is None else (now - self._since).total_seconds()


class _Pace:
    """Something that is due every `seconds`, and at once after a reset."""

    def __init__(self, seconds: float) -> None:
        self._seconds = timedelta(seconds=seconds)
        self._last: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Whether it is time; if so, it counts as done."""
        if self._last is not None and timedelta(0) <= now - self._last < self._seconds:
            return False
        self._last = now
        return True

    def reset(self) -> None:
        """Due at once."""
        self._last = None


class _Span:
    """Something that lasts for `seconds` from when it began."""

    def __init__(self, seconds: float) -> None:
        self._seconds = timedelta(seconds=seconds)
        self._began: datetime | None = None

    def begin(self, now: datetime) -> None:
        """It begins (anew)."""
        self._began = now

    def lasts(self, now: datetime) -> bool:
        """Whether it has begun, and is not over."""
        return self._began is not None and timedelta(0) <= now - self._began < self._seconds
