"""Whether new bulk jobs are to wait in line: the leader says so while more of them wait than workers can take soon."""

import time
from collections.abc import Callable, Sequence

from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.standing import heard, line_key
from synthralos.domain.states import Lane

CROWDED_SECONDS = 5.0
"""For so long what the leader said holds. Without a leader nobody would call those in line, so that nobody joins it."""

TOLD_EVERY = 500
"""Bulk jobs after which the leader is asked to look, where it has not said anything yet."""


class Crowding:
    """What one process that accepts jobs knows of it. Thread-safe: what is lost in a race is one look of the leader."""

    def __init__(self, bus: Bus, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._bus = bus
        self._clock = clock
        self._until = 0.0
        self._paces: dict[str, float] = {}
        self._untold = 0

    def start(self) -> None:
        """Begin to hear."""
        self._bus.subscribe(Topic.CROWDED, self._hear)

    @property
    def now(self) -> bool:
        """Whether bulk jobs that come now have to wait in line."""
        return self._clock() < self._until

    def pace(self, line: str) -> float | None:
        """Jobs a second that are called from the line of that name; None: not known."""
        return self._paces.get(line_key(line)) if self.now else None

    def accepted(self, job_ids: Sequence[str]) -> None:
        """These bulk jobs were stored and rung for. May ask the leader to look."""
        self._untold += len(job_ids)
        if self._untold >= TOLD_EVERY:
            self._untold = 0
            self._bus.publish(Topic.CHANGED, job_ids[-1:])

    def _hear(self, lanes: Sequence[str] | None) -> None:
        if lanes is None:
            return
        if Lane.BULK in lanes:
            self._until = self._clock() + CROWDED_SECONDS
            self._paces = {}
        self._paces = {**self._paces, **heard(lanes)}  # of many lines the paces come in several words
