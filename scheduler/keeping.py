"""The leader's work on what is beyond its time, in small steps and for a bounded share of its time."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from scheduler.share import Share
from synthralos.domain.retention import Kind, Retention
from synthralos.store.retention.housekeeping import Housekeeping
from synthralos.store.retention.keeping import KINDS, Keeping
from synthralos.store.retention.passes import Step
from synthralos.store.sql.database import Database
from synthralos.streams.protocol import KEEP_SECONDS
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Labels, Metrics

KEEP_EVERY = 1.0
"""Seconds between two rounds; each costs the database nothing while nothing is looked for."""

LOOK_EVERY = 60.0
"""Seconds between two looks for what is due of a kind, where the last found no more."""

FEWEST, MOST = 100, 10_000
"""Rows of one step."""

STEP_SECONDS = {"postgresql": 0.3, "sqlite": 0.1}
"""What a step may take about: on SQLite nobody else writes meanwhile."""


class KeepingTask:
    """`round` is called by one thread, the metrics are read by others."""

    def __init__(
        self,
        database: Database,
        times: Callable[[], Retention],
        share: float,
        leads: Callable[[], bool],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`times` are those in force."""
        self._keeping, self._housekeeping = Keeping(database), Housekeeping(database)
        self._times, self._leads, self._clock = times, leads, clock
        self._share = Share(share, clock)
        self._seconds = STEP_SECONDS[database.dialect]
        self._most = dict.fromkeys(KINDS, 1_000)
        self._next: dict[Kind | None, float] = {}
        self._lags: Mapping[Labels, float] = {}
        self._removed = metrics.counters(families.RETENTION_REMOVED)
        metrics.reads(families.RETENTION_LAG, lambda: self._lags if leads() else {})

    def round(self) -> bool:
        """Do what is due and may be done now, where this scheduler leads; whether it does."""
        self._share.earn()
        if not self._leads():
            self._lags = {}
            return False
        for kind in KINDS:
            while self._may(kind) and self._step(kind):
                pass
        if self._may(None):
            self._share.spend(self._forget_chunks)
            while self._share.left and self._share.spend(self._keeping.give_back):
                pass
            self._next[None] = self._clock() + LOOK_EVERY
        return True

    def _may(self, kind: Kind | None) -> bool:
        return self._share.left and self._clock() >= self._next.get(kind, 0.0) and self._leads()

    def _step(self, kind: Kind) -> bool:
        began = self._clock()
        step: Step = self._share.spend(lambda: self._keeping.step(kind, self._times(), self._most[kind]))
        self._measure(kind, self._clock() - began)
        if step.removed:
            self._removed[str(kind),].inc(step.removed)
        self._lags = {**self._lags, (str(kind),): step.lag}
        if not step.more:
            self._next[kind] = self._clock() + LOOK_EVERY
        return step.more

    def _measure(self, kind: Kind, seconds: float) -> None:
        """The next step of the kind takes about as long as a step may take."""
        if seconds > self._seconds:
            self._most[kind] = max(FEWEST, self._most[kind] // 2)
        elif seconds < self._seconds / 3:
            self._most[kind] = min(MOST, self._most[kind] * 2)

    def _forget_chunks(self) -> None:
        while self._share.left and self._housekeeping.prune_stream_chunks(
            datetime.now(UTC) - timedelta(seconds=KEEP_SECONDS)
        ):
            pass
