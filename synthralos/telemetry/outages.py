"""Outages: one line when something goes away, one a minute while it is, one when it is back.

Everybody who meets a broken database or broker says so, as often as they like: many threads meet it many times a
second. Who gets through again says that too. What a reader of the log sees is one line a minute for each thing that is
away, with the reason and what to do about it.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two lines about one thing."""

DATABASE = "database"
BROKER = "broker"


class Reminder:
    """Says when it is time for a line about something that lasts: at once, then every so many seconds."""

    __slots__ = ("_every", "_last")

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._last: float | None = None

    def due(self, now: float) -> bool:
        """Whether a line is due `now`; if so, it counts as written."""
        if self._last is not None and now - self._last < self._every:
            return False
        self._last = now
        return True


@dataclass(slots=True)
class _Away:
    """Something that is away. `told`: a line said so."""

    since: float
    failures: int = 0
    told: bool = False


@dataclass(slots=True)
class _Subject:
    """Keeps its reminder when it is back: what comes and goes ten times a minute is not worth twenty lines."""

    reminder: Reminder = field(default_factory=Reminder)
    away: _Away | None = None


class Outages:
    """What is away for this process. Thread-safe; `works` costs next to nothing while nothing is."""

    def __init__(self, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._subjects: dict[str, _Subject] = {}
        self._away: set[str] = set()

    def failed(self, subject: str, reason: str, remedy: str, *, error: BaseException | None = None) -> None:
        """`subject` did not work just now. `error` is given where it is a bug: its traceback is logged."""
        now = self._clock()
        with self._lock:
            found = self._subjects.setdefault(subject, _Subject(Reminder(self._every)))
            away = found.away = found.away or _Away(now)
            self._away.add(subject)
            away.failures += 1
            if not found.reminder.due(now):
                return
            began, away.told = not away.told, True
            seconds, failures = now - away.since, away.failures
        level = logging.WARNING if error is None else logging.ERROR
        when = "does not work" if began else f"does not work for {seconds:.0f} s, {failures} failures"
        facts = {"outage": subject, "reason": reason, "remedy": remedy, "seconds": round(seconds, 1)}
        log.log(level, "%s %s: %s. Remedy: %s", subject, when, reason, remedy, exc_info=error, extra=facts)

    def works(self, subject: str) -> None:
        """`subject` worked just now."""
        if subject not in self._away:
            return
        with self._lock:
            self._away.discard(subject)
            found = self._subjects[subject]
            away, found.away = found.away, None
            if away is None or not away.told:
                return
            seconds = self._clock() - away.since
        facts = {"outage": subject, "seconds": round(seconds, 1)}
        log.warning("%s works again after %.0f s, %d failures", subject, seconds, away.failures, extra=facts)

    def seconds(self) -> dict[str, float]:
        """What is away, and for how many seconds."""
        now = self._clock()
        with self._lock:
            return {name: now - s.away.since for name, s in self._subjects.items() if s.away is not None}
