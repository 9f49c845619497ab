"""What the monitor watches: a detector for each kind and subject, and how long each subject has been as usual."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synthralos.domain.detection import DEARER, FALSE_ALARMS, SLOWER, FailureDetector, LevelDetector, Reading
from synthralos.domain.forecasts import EVERY, Trend
from synthralos.domain.incidents import IncidentKind, Subject, SubjectKind
from synthralos.domain.queue_detection import FLOORS, StuckDetector, WaitDetector
from synthralos.domain.sequential import NEAR
from synthralos.domain.states import Lane
from synthralos.store.admin.baselines import Learned
from synthralos.store.read.call_sums import CallSums, total

MOST = 5_000
"""Detectors that are kept in memory: those of which something was seen last."""

Key = tuple[IncidentKind, Subject]


class Others(NamedTuple):
    """Calls of the organizations other than the one with the most failures, while the evidence rose; and failures."""

    calls: int
    failed: int


@dataclass(slots=True)
class Minute:
    """What has come together of the next point of a trend."""

    seconds: float = 0.0
    weight: float = 0.0
    total: float = 0.0


@dataclass(slots=True)
class Watch:
    """How a subject is. `quiet` seconds and `calls` since nothing points to a change; `alarm`: in the last look."""

    detector: Any
    reading: Reading | None = None
    quiet: float = 0.0
    calls: float = 0.0
    alarm: bool = False
    changed: bool = False
    trend: Trend = field(default_factory=Trend)
    minute: Minute = field(default_factory=Minute)
    organizations: dict[str, tuple[int, int]] = field(default_factory=dict)

    def take(self, reading: Reading, calls: float, seconds: float) -> None:
        """What a look has brought."""
        self.reading, self.alarm, self.changed = reading, reading.alarm, True
        if reading.score > min(NEAR, reading.threshold / 2):
            self.quiet = self.calls = 0.0
        else:
            self.quiet += seconds
            self.calls += calls
        if reading.alarm:
            self.detector.restart()

    def expect(self, level: float, weight: float, seconds: float) -> None:
        """A level of the last so many seconds, for the forecast: the mean of a minute is a point of the trend."""
        minute = self.minute
        minute.seconds += seconds
        minute.weight += weight
        minute.total += level * weight
        if minute.seconds >= EVERY and minute.weight and self.reading is not None:
            self.trend.add(minute.total / minute.weight, self.reading.limit, minute.seconds)
            self.minute = Minute()

    @property
    def in_seconds(self) -> float | None:
        """When the limit is going to be reached; None: no forecast holds."""
        return self.trend.reaches(self.reading.limit) if self.reading is not None and self.trend.foreseen else None

    def count(self, calls: Sequence[CallSums]) -> None:
        """Whose calls failed, since the evidence began to rise."""
        if self.reading is None or self.reading.score == 0.0:
            self.organizations.clear()
        for each in calls:
            before = self.organizations.get(each.organization, (0, 0))
            made = each.answered + each.failed
            self.organizations[each.organization] = before[0] + made, before[1] + each.failed

    def others(self) -> Others:
        """What the other organizations saw."""
        ranked = sorted(self.organizations.values(), key=lambda counts: -counts[1])[1:]
        return Others(sum(calls for calls, _ in ranked), sum(failed for _, failed in ranked))


class Watches:
    """Lives in the monitor's thread."""

    def __init__(self, false_alarms: float = FALSE_ALARMS) -> None:
        """`false_alarms` of one detector are allowed a day."""
        self._a_day = false_alarms
        self._watches: OrderedDict[Key, Watch] = OrderedDict()

    def __getitem__(self, key: Key) -> Watch:
        """The watch of that kind and subject; a new one, where nothing was seen of it yet."""
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = Watch(_detector(key, {}))
            if len(self._watches) > MOST:
                self._watches.popitem(last=False)
        self._watches.move_to_end(key)
        return watch

    def look_at_calls(self, calls: Iterable[CallSums], seconds: float) -> list[Key]:
        """What ended within so many seconds; which alarms that raises."""
        by_deployment: dict[str, list[CallSums]] = {}
        by_organization: dict[str, list[CallSums]] = {}
        for each in calls:
            by_deployment.setdefault(each.deployment, []).append(each)
            by_organization.setdefault(each.organization, []).append(each)
        for name, some in by_deployment.items():
            self._look_at_deployment(Subject(SubjectKind.DEPLOYMENT, name), some, seconds)
        for name, some in by_organization.items():
            self._look_at_organization(Subject(SubjectKind.ORGANIZATION, name), some, seconds)
        self._look_at_silent({*by_deployment}, {*by_organization}, seconds)
        return [key for key, watch in self._watches.items() if watch.alarm and key[1].kind is not SubjectKind.QUEUE]

    def look_at_queues(self, waits: Mapping[Subject, tuple[float, int]], seconds: float) -> list[Key]:
        """How long the head of each queue has waited, and how many jobs it has; which alarms that raises."""
        for subject, (oldest, count) in waits.items():
            watch = self[IncidentKind.QUEUE_AGE, subject]
            watch.take(watch.detector.look(oldest, count, seconds), count, seconds)
            watch.expect(oldest, 1.0, seconds)
        return self._alarms(IncidentKind.QUEUE_AGE)

    def look_at_stuck(self, counts: Mapping[Subject, int], seconds: float) -> list[Key]:
        """How many jobs of each queue are stuck; which alarms that raises."""
        for subject, count in counts.items():
            watch = self[IncidentKind.STUCK_JOBS, subject]
            watch.take(watch.detector.look(count, seconds), count, seconds)
        return self._alarms(IncidentKind.STUCK_JOBS)

    def foreseen(self) -> list[Key]:
        """What a forecast holds for, and has not come to it yet."""
        return [key for key, watch in self._watches.items() if watch.trend.foreseen and watch.in_seconds is not None]

    def _alarms(self, kind: IncidentKind) -> list[Key]:
        return [key for key, watch in self._watches.items() if watch.alarm and key[0] is kind]

    def _look_at_deployment(self, subject: Subject, calls: Sequence[CallSums], seconds: float) -> None:
        failed, others = sum(each.failed for each in calls), sum(each.answered + each.refused for each in calls)
        watch = self[IncidentKind.ERROR_RATE, subject]
        made = failed + others
        watch.take(watch.detector.look(made, failed, seconds, self._a_day), made, seconds)
        watch.expect(failed / max(1, made), made, seconds)
        watch.count(calls)
        for kind, sums in (
            (IncidentKind.LATENCY, total(each.latency for each in calls)),
            (IncidentKind.COST_PER_TOKEN, total(each.price for each in calls)),
        ):
            watch = self[kind, subject]
            watch.take(watch.detector.look(sums, seconds, self._a_day), sums.n, seconds)

    def _look_at_organization(self, subject: Subject, calls: Sequence[CallSums], seconds: float) -> None:
        refused, answered = sum(each.refused for each in calls), sum(each.answered for each in calls)
        watch = self[IncidentKind.ERROR_RATE, subject]
        made = refused + answered
        watch.take(watch.detector.look(made, refused, seconds, self._a_day), made, seconds)

    def _look_at_silent(self, deployments: set[str], organizations: set[str], seconds: float) -> None:
        """Nothing was seen of these: no evidence, and time that passes."""
        for (_, subject), watch in self._watches.items():
            heard = deployments if subject.kind is SubjectKind.DEPLOYMENT else organizations
            if subject.kind is not SubjectKind.QUEUE and subject.name not in heard:
                watch.alarm = False
                if watch.quiet:
                    watch.quiet += seconds

    def learned(self) -> list[Learned]:
        """What has been learned since it was last asked for."""
        found = [
            Learned(kind, subject, watch.detector.stored())
            for (kind, subject), watch in self._watches.items()
            if watch.changed and kind is not IncidentKind.STUCK_JOBS
        ]
        for watch in self._watches.values():
            watch.changed = False
        return found

    def restore(self, learned: Iterable[Learned]) -> None:
        """Begin with what an earlier leader learned; the newest comes first."""
        for each in reversed(list(learned)):
            key = each.kind, each.subject
            self._watches[key] = Watch(_detector(key, each.numbers))

    def accept(self, key: Key) -> None:
        """Somebody resolved what was found: where it goes on all the same, that is how it is now."""
        watch = self[key]
        if watch.reading is not None and not watch.quiet:
            watch.detector.accept(watch.reading)


def _detector(key: Key, stored: Mapping[str, Any]) -> Any:
    kind, subject = key
    match kind:
        case IncidentKind.ERROR_RATE:
            return FailureDetector.restore(stored)
        case IncidentKind.LATENCY:
            return LevelDetector.restore(stored, SLOWER)
        case IncidentKind.COST_PER_TOKEN:
            return LevelDetector.restore(stored, DEARER)
        case IncidentKind.QUEUE_AGE:
            lane = Lane(subject.name.rpartition("/")[2])
            return WaitDetector.restore(stored, FLOORS[lane])
    return StuckDetector()
