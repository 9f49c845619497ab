"""The monitor, as long as this process leads: looks at calls and queues, opens incidents, follows them to their end.

It takes a bounded share of the time, and so of the database's: where a look takes long, the next comes later. While no
calls are made it looks each five seconds.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from scheduler.monitoring.follow import Following
from scheduler.monitoring.reasons import forecast_of, reason_of
from scheduler.monitoring.watches import MOST, Key, Watches
from synthralos.broker.protocol import Doorbell
from synthralos.domain.forecasts import STEEP
from synthralos.domain.incidents import Incident, IncidentKind, IncidentState, Subject, SubjectKind
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.baselines import Baselines
from synthralos.store.admin.incidents import Found, IncidentStore
from synthralos.store.queue.leading import Lead
from synthralos.store.read.backlogs import Backlogs
from synthralos.store.read.call_sums import BEHIND, LONGEST_LOOK, CallReader
from synthralos.store.read.stuck import StuckReader
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Labels, Metrics

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks at calls while some are made."""

QUEUES_EVERY, STUCK_EVERY, SAVE_EVERY = 5.0, 10.0, 60.0
"""Seconds between two looks at queues, at jobs that are stuck, and between two times that baselines are kept."""

LONGEST_PAUSE = 10.0
"""Seconds after a look that took long until the next one, at most: an outage must not hide behind a slow database."""

CROWDED = 4
"""Messages that wait in the broker's queue, from which on jobs wait for their turn, and nobody has forgotten them."""


class Monitoring:
    """`round` after round, by one thread; the metrics are read by others."""

    def __init__(
        self,
        calls: CallReader,
        backlogs: Backlogs,
        stuck: StuckReader,
        incidents: IncidentStore,
        baselines: Baselines,
        following: Following,
        doorbell: Doorbell,
        lead: Callable[[], Lead | None],
        wanted: Callable[[Subject], bool],
        share: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wanted`: whether a subject is to be watched; `share` of the time that may be taken."""
        self._calls, self._backlogs, self._stuck = calls, backlogs, stuck
        self._incidents, self._baselines, self._following = incidents, baselines, following
        self._doorbell, self._lead, self._wanted = doorbell, lead, wanted
        self._share, self._clock = share, clock
        self._opened = metrics.counters(families.INCIDENTS_OPENED)
        metrics.reads(families.INCIDENTS, self._counts)
        self._term: int | None = None
        self._watches = Watches()
        self._live: dict[Key, Incident] = {}
        self._until: datetime | None = None
        self._next = self._queues_at = self._stuck_at = self._saved_at = 0.0
        self.busy = False
        """Whether calls were made lately, or an incident is followed."""

    def round(self) -> bool:
        """Look, where this process leads and may take the time; False: nothing was looked at."""
        lead = self._lead()
        if lead is None or not self._wanted(_INSTALLATION):
            self._leave()
            return False
        began = self._clock()
        if began < self._next:
            return False
        try:
            self._look(lead, began)
        finally:
            ended = self._clock()
            self._next = ended + min(LONGEST_PAUSE, (ended - began) * (1 / self._share - 1))
        return True

    def _look(self, lead: Lead, began: float) -> None:
        if lead.term != self._term:
            self._begin(lead)
        now = self._calls.now()
        alarms = self._look_at_calls(now - timedelta(seconds=BEHIND))
        alarms += self._look_at_queues(began)
        for key in alarms:
            self._open(key, lead)
        for key in self._watches.foreseen():
            self._foresee(key, lead)
        if self._live:
            self._follow(now, lead)
        self.busy = self.busy or bool(self._live)
        if began - self._saved_at >= SAVE_EVERY:
            self._baselines.save(self._watches.learned(), lead)
            self._saved_at = began

    def _begin(self, lead: Lead) -> None:
        """Begin a term with what earlier leaders learned, and the incidents that they left."""
        self._leave()
        self._watches.restore(self._baselines.load(MOST))
        self._live = {(each.kind, each.subject): each for each in self._incidents.live()}
        self._saved_at, self._term = self._clock(), lead.term

    def _leave(self) -> None:
        if self._term is not None or self._live:
            self._watches, self._live, self._term = Watches(), {}, None
        self._until, self.busy = None, False

    def _look_at_calls(self, until: datetime) -> list[Key]:
        """What ended since the last look. What lies far back, when this process was held up, is passed over."""
        before, self._until = self._until, until
        if before is None:
            self.busy = True
            return []
        seconds = (until - before).total_seconds()
        if seconds <= 0:
            self._until = before
            return []
        since = max(before, until - timedelta(seconds=LONGEST_LOOK))
        if self.busy:
            self._calls.bound_pages()
        found = self._calls.between(since, until)
        self.busy = bool(found)
        return self._watches.look_at_calls(found, min(seconds, LONGEST_LOOK))

    def _look_at_queues(self, now: float) -> list[Key]:
        alarms: list[Key] = []
        if (since := now - self._queues_at) >= QUEUES_EVERY:
            queues = self._backlogs.queues()
            waits = {_subject(*queue): (backlog.oldest, backlog.count) for queue, backlog in queues.items()}
            alarms += self._watches.look_at_queues(waits, min(since, 2 * QUEUES_EVERY))
            self._queues_at = now
        if (since := now - self._stuck_at) >= STUCK_EVERY:
            counts = self._stuck.counts(self._crowded)
            stuck = {_subject(stage, lane): counts.get((stage, lane), 0) for stage in Stage for lane in Lane}
            alarms += self._watches.look_at_stuck(stuck, min(since, STUCK_EVERY))
            self._stuck_at = now
        return alarms

    def _crowded(self, stage: Stage, lane: Lane) -> bool:
        return (self._doorbell.depth(stage, lane) or 0) >= CROWDED

    def _open(self, key: Key, lead: Lead) -> None:
        kind, subject = key
        known, reading = self._live.get(key), self._watches[key].reading
        if reading is None or not self._wanted(subject) or (known is not None and not known.forecast):
            return
        self._found(Found(kind, subject, reason_of(kind, reading), reading.numbers()), lead)

    def _foresee(self, key: Key, lead: Lead) -> None:
        kind, subject = key
        watch = self._watches[key]
        if key in self._live or watch.reading is None or watch.in_seconds is None or not self._wanted(subject):
            return
        level, _, score = watch.trend.fitted()
        seen = replace(watch.reading, measured=level, score=score, threshold=STEEP)
        evidence = {**seen.numbers(), "in_seconds": round(watch.in_seconds, 1)}
        self._found(Found(kind, subject, forecast_of(kind, seen, watch.in_seconds), evidence, forecast=True), lead)

    def _found(self, found: Found, lead: Lead) -> None:
        incident = self._incidents.open(found, lead)
        if incident is not None:
            self._live[found.kind, found.subject] = incident
            self._opened[str(found.kind),].inc()
            log.warning("incident %s: %s: %s", incident.id, found.subject, incident.reason)

    def _follow(self, now: datetime, lead: Lead) -> None:
        """A step of each. Those that people closed meanwhile are over, and how it is now is how it may be."""
        living = {(each.kind, each.subject): each for each in self._incidents.live()}
        for key in self._live.keys() - living.keys():
            self._watches.accept(key)
        self._live = {}
        for key, incident in living.items():
            after = self._following.step(incident, self._watches[key], now, lead) or incident
            if after.state is not incident.state:
                log.warning("incident %s: %s: %s", after.id, after.subject, after.state)
            if after.state is not IncidentState.CLOSED:
                self._live[key] = after

    def _counts(self) -> dict[Labels, float]:
        """How many of each kind this leader knows to be open."""
        if self._lead() is None:
            return {}
        live = list(self._live)
        return {(str(kind),): float(sum(key[0] is kind for key in live)) for kind in IncidentKind}


_INSTALLATION = Subject(SubjectKind.DEPLOYMENT, "")


def _subject(stage: Stage, lane: Lane) -> Subject:
    return Subject(SubjectKind.QUEUE, f"{stage}/{lane}")
