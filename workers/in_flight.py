"""The flight: a bounded number of jobs under way in this process, each a coroutine on one event loop.

A Dramatiq thread that waits for a 30-second call is a wasted thread. So the actors take seats here, hand the
jobs to the event loop, and return; the claims in the database keep the jobs safe.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress

import uvloop

from pipelines.flow.work import Work

log = logging.getLogger(__name__)


class EventLoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._spawned: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def run(self, work: Awaitable[object], timeout: float | None = None) -> None:
        """Run something on the loop and wait for its end, at most `timeout` seconds (then `TimeoutError`)."""

        async def awaited() -> None:
            await work

        asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(timeout)

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin something on the loop without waiting for it; nothing happens on a loop that has stopped."""
        with suppress(RuntimeError):  # closed
            self.loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self.loop.create_task(work())
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def stop(self) -> None:
        """Stop the loop; what still runs on it is dropped."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()


class InFlight:
    """The seats of one process, and the jobs that sit on them."""

    def __init__(self, seats: int, loop: asyncio.AbstractEventLoop, travel: Callable[[Work], Awaitable[None]]) -> None:
        self._free = seats
        self.seats = seats
        self._loop = loop
        self._travel = travel
        self._changed = threading.Condition()
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """Jobs that hold a seat."""
        return self.seats - self._free

    def board(self, seats: int) -> bool:
        """Wait for `seats` free ones and take them; False when the process is shutting down.

        Raises `ValueError` where the flight never has as many.
        """
        if seats > self.seats:
            raise ValueError(f"{seats} at once cannot board a flight of {self.seats} seats")
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free >= seats)
            if self._closed:
                return False
            self._free -= seats
            return True

    def vacate(self, seats: int) -> None:
        """Give seats back."""
        if seats:
            with self._changed:
                self._free += seats
                self._changed.notify_all()

    def depart(self, works: Sequence[Work]) -> None:
        """Let the jobs go on, on the event loop. Each gives its seat back at its end."""
        if works:
            self._loop.call_soon_threadsafe(self._launch, works)

    def close(self) -> None:
        """Let nobody board any more; wakes those who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def landed(self) -> None:
        """Returns when nobody is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _launch(self, works: Sequence[Work]) -> None:
        for work in works:
            task: asyncio.Task[None] = self._loop.create_task(self._travel_and_vacate(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _travel_and_vacate(self, work: Work) -> None:
        try:
            await self._travel(work)
        except Exception:  # the last edge: the claim stays, and the job is found again when this process ends
            log.exception("job %s was dropped; its claim ends with this process", work.job.id)
        finally:
            self.vacate(1)
