"""Bounds on the bodies that an API process holds at once: bytes of all together, and seconds until one is whole."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from api.http.problems import Problem, busy_with_bodies

SMALL_BODY = 64 * 1024
"""Bytes up to which a body counts for nothing, so that small requests go through whatever else is sent."""

BODY_SECONDS = 30.0
"""Seconds that a body may take, besides those that its size allows."""

LEAST_RATE = 64 * 1024
"""Bytes a second: as much of a body as has come allows it that much more time."""

SILENT_SECONDS = 1.0
"""Seconds without a byte after which an unfinished body makes room for others."""


LOOK_SECONDS = 1.0
"""Seconds between two looks for bodies whose time is over. One timer for all: a timer each costs more than reading."""


class BodyPlace:
    """What one request holds. `reader` is the task that reads it, until the body is whole or its time is over."""

    __slots__ = ("evicted", "heard", "reader", "size", "until")

    def __init__(self) -> None:
        self.size = 0
        self.heard = 0.0
        self.reader: asyncio.Task[Any] | None = None
        self.until = 0.0
        self.evicted = False

    def give_up(self) -> None:
        """End the reading, if it goes on: its reader is cancelled, and `too_late` says why."""
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.cancel()


class BodiesInFlight:
    """Counts the bytes of bodies from their arrival until their requests are answered. Lives on one event loop."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: bytes of all bodies larger than `SMALL_BODY` together."""
        self._most = most
        self._clock = clock
        self.held = 0
        self._unfinished: dict[BodyPlace, None] = {}  # whoever was silent for longest comes first
        self._read: set[BodyPlace] = set()
        self._look: asyncio.TimerHandle | None = None

    @contextmanager
    def place(self) -> Iterator[BodyPlace]:
        """A place for one body, until its request is answered."""
        place = BodyPlace()
        try:
            yield place
        finally:
            self._leave(place)

    @contextmanager
    def reading(self, place: BodyPlace) -> Iterator[None]:
        """Within, the current task is cancelled where the body takes too long or makes room: raises the problem."""
        loop = asyncio.get_running_loop()
        place.reader = reader = asyncio.current_task()
        place.until = loop.time() + BODY_SECONDS
        self._read.add(place)
        if self._look is None:
            self._look = loop.call_later(LOOK_SECONDS, self._give_up_what_is_late)
        try:
            yield
        except asyncio.CancelledError:
            if place.reader is None and reader is not None and not reader.uncancel():
                raise too_late(place) from None
            raise
        finally:
            self._read.discard(place)
            place.reader = None

    def _give_up_what_is_late(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for place in self._read:
            if place.until + place.size / LEAST_RATE < now:
                place.give_up()
        self._look = loop.call_later(LOOK_SECONDS, self._give_up_what_is_late) if self._read else None

    def grow(self, place: BodyPlace, size: int) -> None:
        """The body has `size` bytes by now, and more to come; raises a 503 where there is no room for it."""
        self._unfinished.pop(place, None)
        if size > SMALL_BODY:
            self._make_room(size - place.size)
            self.held += size - place.size
            place.size, place.heard = size, self._clock()
            self._unfinished[place] = None

    def whole(self, place: BodyPlace) -> None:
        """The body is there: from now on it is worked on, and makes no room for others."""
        self._unfinished.pop(place, None)

    def _make_room(self, size: int) -> None:
        while self.held + size > self._most:
            silent = next(iter(self._unfinished), None)
            if silent is None or self._clock() - silent.heard < SILENT_SECONDS:
                raise busy_with_bodies()
            self._leave(silent)
            silent.evicted = True
            silent.give_up()

    def _leave(self, place: BodyPlace) -> None:
        self._unfinished.pop(place, None)
        self.held -= place.size
        place.size = 0


def too_late(place: BodyPlace) -> Problem:
    """Why a body's reading ended: it made room for another one, or took too long."""
    if place.evicted:
        return busy_with_bodies()
    detail = f"A body has {BODY_SECONDS:g} seconds, and one more for every {LEAST_RATE} bytes of it that have come."
    return Problem(408, "body-too-slow", "The body took too long", detail, headers={"Connection": "close"})
