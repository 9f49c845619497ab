"""The event stream within a process: one reader of the feed, however many listen.

While somebody listens, the reader looks when the bus speaks, and every `poll_seconds`. A listener who takes too little
is cut; it comes back with the id of the last event that it read, and has lost nothing.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.feed import Cursor, Item, Page
from synthralos.store.read.feed import Feed
from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

MOST_QUEUED = 2_000
"""Events that wait for one listener at most."""

MOST_LISTENERS = 1_000
"""Listeners of one process."""

_TOPICS = (Topic.FEED, Topic.CHANGED, Topic.BREAKERS)

Predicate = Callable[[Item], bool]
Read = Callable[[Callable[[], Page | Cursor]], Awaitable[Page | Cursor]]


class TooManyListeners(Exception):
    """This process serves as many as it may."""


@dataclass(eq=False, slots=True)
class Listener:
    """Who gets what follows `position` and fits. `cut`: it took too little, and gets no more."""

    wants: Predicate
    position: Cursor
    cut: bool = False
    queue: deque[Item] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> list[Item]:
        """What has come since the last time."""
        found = list(self.queue)
        self.queue.clear()
        self.news.clear()
        return found

    def give(self, items: Sequence[Item]) -> None:
        """More of the feed."""
        fitting = [item for item in items if self.wants(item)]
        if len(self.queue) + len(fitting) > MOST_QUEUED:
            self.cut = True
        else:
            self.queue.extend(fitting)
        if fitting:
            self.news.set()

    async def wait(self, seconds: float) -> None:
        """Return when there is something, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.news.wait()


class FeedHub:
    """All who listen in this process. Lives on one event loop; `heard` may be called from any thread.

    `position` is how far the feed was read; `reads` counts the reads.
    """

    def __init__(self, feed: Feed, read: Read, poll_seconds: float) -> None:
        self.reads = 0
        self._feed = feed
        self._read = read
        self._poll_seconds = poll_seconds
        self._listeners: set[Listener] = set()
        self._joining = asyncio.Lock()
        self._heard = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._position: Cursor | None = None
        self._released = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live on `loop` from now on."""
        self._loop = loop

    def subscribe_to(self, bus: Bus) -> None:
        """Hear what is published; may block while the bus connects."""
        for topic in _TOPICS:
            bus.subscribe(topic, self.heard)

    def heard(self, _: Sequence[str] | None) -> None:
        """The bus's listener."""
        if self._loop is not None and self._listeners and not self._released:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._heard.set)

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def position(self) -> Cursor | None:
        """How far the feed was read; None before anybody has listened."""
        return self._position

    async def join(self, wants: Predicate) -> Listener:
        """Listen from now on; the listener's `position` says from where. To be left by `leave`.

        Raises `TooManyListeners`, and what the store raises.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyListeners
        async with self._joining:
            if self._reading is None or self._position is None:
                found = await self._read(self._feed.head)
                assert isinstance(found, Cursor)
                self._position = found
            listener = Listener(wants, self._position)
            self._listeners.add(listener)
            self._heard.set()  # the reader may have slept through what happened while nobody listened
            if self._reading is None:
                self._reading = asyncio.create_task(self._run())
        if self._released:
            listener.cut = True
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more."""
        self._listeners.discard(listener)

    def release(self) -> None:
        """Cut everybody: the process is about to stop."""
        self._released = True
        if self._reading is not None:
            self._reading.cancel()
        for listener in self._listeners:
            listener.cut = True
            listener.news.set()

    async def _run(self) -> None:
        try:
            while self._listeners:
                if not await self._look():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_seconds):
                            await self._heard.wait()
        finally:
            self._reading = None

    async def _look(self) -> bool:
        """Read on, and hand out; whether there is more at once."""
        self._heard.clear()
        position = self._position
        assert position is not None
        self.reads += 1
        try:
            page = await self._read(lambda: self._feed.since(position))
        except StoreError as error:
            log.debug("could not read the feed: %s", type(error).__name__)
            return False
        assert isinstance(page, Page)
        # Position and listeners change together, so that who joins in between misses nothing and gets nothing twice.
        self._position = page.cursor
        for listener in self._listeners:
            listener.give(page.items)
        return page.more
