"""One destination's shipping: a thread that ships what is owed, and sleeps until something is due.

It wakes when jobs have ended, when something that was put off comes due, and when the destination has rested. A
destination that hangs holds up neither jobs nor the other destinations.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import Counter

from pipelines.analyze.protocol import Answer, Exporter, Linking, Trace
from synthralos.domain.exports import Aside, Booking, Kind, Owed, Rest
from synthralos.domain.flags import Flag
from synthralos.domain.residency import kept_from
from synthralos.store.exports.backlog import PAUSES, Backlog
from synthralos.telemetry.metrics import Children
from synthralos.telemetry.outages import Reminder
from workers.courtesy import Courtesy, Manners
from workers.trace_reading import TraceReading

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks whether a rest was ended by an operator, the database is back, or it is our turn."""

SERVE_EVERY = 86_400.0
"""Seconds after which a destination is said to be served again: one that is not said so for long is forgotten."""

LINGER = 1.0
"""Seconds from the end of one round of shipping to the next: what ends meanwhile goes in one shipment."""

DAMPING = 1.0
"""Seconds for which a destination that rests is not asked about, however often somebody wakes its shipper."""

TRIES_ALONE = 5
"""Shipments that a trace is in before it is set aside, where the destination took none of the others either."""

SHORTEST_REST = 1.0
"""Seconds that a destination is left alone at least when it did not answer."""

_PAUSES = replace(PAUSES, least=SHORTEST_REST)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What all shippers share. `on` says whether an organization has a flag.

    `turn` says whether this process is to ship to a destination now. `idle`: seconds after which a shipper looks by
    itself whether something is owed; None: it hears of it.
    """

    reading: TraceReading
    backlog: Backlog
    on: Callable[[Flag, str], bool]
    counted: Children[Counter]
    random: random.Random
    courtesy: Courtesy
    damping: float = DAMPING
    linger: float = LINGER
    turn: Callable[[str], bool] = lambda destination: True
    idle: float | None = None


class Shipper:
    """Ships what one destination is owed."""

    def __init__(self, parts: Parts, exporter: Exporter) -> None:
        self._parts, self._exporter = parts, exporter
        self._destination = exporter.destination
        self._size = self._destination.batch
        self._silent = 0  # shipments in a row that were not answered
        self._linked = False
        self._serve_at = float("-inf")
        self._reminder = Reminder()
        self._changed = threading.Condition()
        self._wanted, self._ships, self._stopping = True, False, False
        self._sleeps: float | None = None
        self._asked_again_at = self._ended_at = 0.0
        self._manners = Manners(parts.courtesy)
        self._thread = threading.Thread(target=self._run, name=f"export-{self._destination.name}", daemon=True)

    def start(self) -> None:
        """Begin with what is owed from before."""
        self._thread.start()

    def wake(self) -> None:
        """Look what is owed; once more, where that is being done."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def rest(self, timeout: float) -> bool:
        """Wait until nothing is to be done."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wanted and not self._ships, timeout)

    def ask_to_stop(self) -> None:
        """Stop after the batch that is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        if not self._thread.is_alive():
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("%s still ships; what it does not accept stays in the backlog", self._destination.name)

    def _run(self) -> None:
        self._parts.courtesy.join()
        while self._next():
            try:
                self._sleeps = self._ship_all()
            except Exception:  # the edge of a thread: the backlog stays, and comes again
                self._sleeps = LOOK_EVERY
                if self._reminder.due(time.monotonic()):
                    log.exception("shipping to %s failed", self._destination.name)
            self._ended_at = time.monotonic()
        self._parts.courtesy.leave()
        self._exporter.close()

    def _next(self) -> bool:
        """Wait to be woken, or until something is due; False when it is over."""
        with self._changed:
            self._ships = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wanted or self._stopping, self._sleeps)
            lingers = self._ended_at + self._parts.linger - time.monotonic()
            self._changed.wait_for(lambda: self._stopping, max(0.0, lingers))
            self._wanted, self._ships = False, not self._stopping
            return self._ships

    def _ship_all(self) -> float | None:
        """Ship until nothing is due; the seconds until something will be."""
        backlog, name = self._parts.backlog, self._destination.name
        if not self._parts.turn(name):
            return LOOK_EVERY
        if time.monotonic() >= self._serve_at:
            backlog.serve(self._destination)
            self._serve_at = time.monotonic() + SERVE_EVERY
        if (left := self._asked_again_at - time.monotonic()) > 0:
            return left
        while not self._stopping and self._parts.turn(name):
            if (resting := backlog.rests(name)) > 0:
                self._asked_again_at = time.monotonic() + self._parts.damping
                return min(resting, LOOK_EVERY)
            self._manners.begin()
            owed = backlog.claim(name, self._size)
            if not owed:
                self._parts.reading.tidy()
                return self._until(backlog.due_in(name))
            booking = self._shipment(owed)
            backlog.book(name, booking)
            if booking.sent and not self._linked:
                self._link()
            self._give_way(self._manners.pause())
        return LOOK_EVERY

    def _until(self, due_in: float | None) -> float | None:
        """Seconds until the next look, where nothing is due before."""
        idle = self._parts.idle
        return due_in if idle is None else idle if due_in is None else min(idle, due_in)

    def _give_way(self, seconds: float) -> None:
        if seconds:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, seconds)

    def _link(self) -> None:
        link = self._exporter.link() if isinstance(self._exporter, Linking) else None
        self._linked = link is not None or not isinstance(self._exporter, Linking)
        if link is not None:
            self._parts.backlog.link(self._destination.name, link)

    def _shipment(self, owed: Sequence[Owed]) -> Booking:
        jobs = self._parts.reading.jobs(owed)
        goes: list[Owed] = []
        off: list[Owed] = []
        aside: list[Aside] = []
        for each in owed:
            job = jobs.get(each.job_id)
            if job is None or not self._wants(job):
                off.append(each)
            elif reason := self._forbidden(job):
                aside.append(Aside(each, Kind.WITHHELD, reason))
            else:
                goes.append(each)
        gone = sum(each.job_id not in jobs for each in owed)
        self._count({"gone": gone, "switched_off": len(off) - gone, "withheld": len(aside)})
        traces = self._parts.reading.traces(goes, jobs, self._destination.residency)
        return self._booking(goes, off, aside, self._answer(traces))

    def _booking(self, goes: list[Owed], off: list[Owed], aside: list[Aside], answer: Answer) -> Booking:
        taken = set(answer.accepted)
        arrived = [each for each in goes if each.job_id in taken]
        refused = [Aside(e, Kind.REFUSED, answer.refused[e.job_id]) for e in goes if self._believed(e, answer)]
        over = taken | {aside.owed.job_id for aside in refused}
        open_ = [each for each in goes if each.job_id not in over]
        again, left = (open_, []) if answer.rest is None else ([], open_)
        self._count({"accepted": len(arrived), "set_aside": len(refused), "refused": len(open_)})
        full = len(goes) + len(off) + len(aside) >= self._size and not open_
        self._size = min(2 * self._size, self._destination.most) if full else self._destination.batch
        reason = (
            answer.error or (answer.rest.reason if answer.rest else None) or next(iter(answer.refused.values()), None)
        )
        error = None if reason is None else self._parts.reading.redacted(reason)
        self._tell(len(open_) + len(refused), answer.rest, error)
        return Booking(len(arrived), [*arrived, *off], [*aside, *refused], again, left, answer.rest, error)

    @staticmethod
    def _believed(owed: Owed, answer: Answer) -> bool:
        """Whether it is the trace that is refused. A destination that takes nothing at all may have another reason."""
        return owed.job_id in answer.refused and (bool(answer.accepted) or owed.tries >= TRIES_ALONE)

    def _wants(self, job: Row) -> bool:
        flag = self._destination.flag
        return flag is None or self._parts.on(flag, job["organization"])

    def _forbidden(self, job: Row) -> str | None:
        """Why the job's data may not go there; None where it may."""
        return kept_from(job["constraints"].get("classification"), self._destination.residency, "destination")

    def _answer(self, traces: list[Trace]) -> Answer:
        """What the destination answers; one that does not answer is left alone, longer each time."""
        if not traces:
            return Answer()
        try:
            answer = self._exporter.ship(traces)
        except Exception as error:  # noqa: BLE001 - the edge to pluggable code: the backlog stays, and comes again
            seconds = _PAUSES.seconds(self._silent, self._parts.random)
            self._silent += 1
            # An error of the system's quotes nothing that a tenant sent.
            reason = str(error) or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
            return Answer(rest=Rest(seconds, reason))
        self._silent = 0
        return answer

    def _count(self, outcomes: Mapping[str, int]) -> None:
        for outcome, number in outcomes.items():
            if number:
                self._parts.counted[self._destination.name, outcome].inc(number)

    def _tell(self, traces: int, rest: Rest | None, error: str | None) -> None:
        if (traces or rest is not None) and self._reminder.due(time.monotonic()):
            name = self._destination.name
            if rest is not None and rest.stopped:
                log.error("%s is stopped, its traces stay owed: %s. Remedy: `synthralos exports`", name, error)
            else:
                log.warning("%s did not take %d traces: %s", name, traces, error)
