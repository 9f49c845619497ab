"""Waiting for jobs without polling: one subscription to the bus, one query for all that were woken.

Where the bus says that a job is over, its thread asks for it to be read, and who waits is woken with what was read.
Of what else changed, a round of looking asks the database about all jobs at once. Because the bus
may lose a message, every `poll_seconds` one more round looks at everything that is waited for.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.states import TERMINAL
from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

JobState = tuple[str, str, datetime | None]
"""(state, stage, finished_at), as `Reader.states` gives it."""

Ask = Callable[[str, Callable[[str, Any], None]], None]
"""Reads a job and calls back on the loop, as `GroupRead.ask` does. May be called from any thread."""

Found = TypeVar("Found")

_MOST_AT_ONCE = 1_000


_UNSEEN: JobState = ("", "", None)
"""The state of what is no job: whatever is said of it wakes those who watch it."""


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody who waits. `seen`: wake on any state but this one; None: wake when the job is over.

    `future` gets the job where it was read for who waits, else None.
    """

    future: asyncio.Future[Any]
    seen: JobState | None = field(default=None)

    def wants(self, state: JobState) -> bool:
        return state[0] in TERMINAL if self.seen is None else state != self.seen


class Waiters(Generic[Found]):
    """All who wait in this process, by job. Lives on one event loop; `heard` may be called from any thread.

    `rounds` counts the queries that were made, for metrics and tests.
    """

    def __init__(
        self,
        look_up: Callable[[Sequence[str]], Awaitable[dict[str, JobState]]],
        ask: Ask,
        poll_seconds: float,
    ) -> None:
        self.rounds = 0
        self._ask = ask
        self._look_up = look_up
        self._poll_seconds = poll_seconds
        self._by_job: dict[str, set[_Waiter]] = {}
        self._woken: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._released = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live on `loop` from now on."""
        self._loop = loop

    def subscribe_to(self, bus: Bus) -> None:
        """Hear what is published; may block while the bus connects."""
        bus.subscribe(Topic.FINISHED, self.heard_end)
        bus.subscribe(Topic.CHANGED, self.heard)

    def heard(self, job_ids: Sequence[str] | None) -> None:
        """The bus's listener."""
        # Whoever starts to wait later than this looks at the job after having registered, so nothing is missed.
        if self._loop is None or self._released or not self._by_job:
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._wake, job_ids)

    def heard_end(self, job_ids: Sequence[str] | None) -> None:
        """The bus's listener for jobs that are over: they are read at once, without asking the loop."""
        if job_ids is None or self._released:
            return
        for job_id in job_ids:
            if job_id in self._by_job:
                self._ask(job_id, self._wake_all)

    @contextlib.contextmanager
    def expecting(self, job_id: str) -> Iterator[Callable[[float], Awaitable[Found | None]]]:
        """Listen for the job's end before looking at it, so that it is not missed in between.

        Gives what waits: for so many seconds, until the job is in a terminal state, or until shutdown. It gives the
        job where it was read meanwhile, else None.
        """
        waiter = self._register(job_id, None)
        try:
            yield lambda seconds: self._until(waiter, seconds)
        finally:
            self._forget(job_id, waiter)

    @contextlib.contextmanager
    def watching(self, what: str) -> Iterator[Callable[[float], Awaitable[Found | None]]]:
        """Listen for whatever the bus says of that id, before looking; gives what waits for so many seconds."""
        waiter = self._register(what, _UNSEEN)
        try:
            yield lambda seconds: self._until(waiter, seconds)
        finally:
            self._forget(what, waiter)

    async def moved(self, job_id: str, seen: JobState, seconds: float) -> None:
        """Return when the bus speaks of the job or its state is not `seen` any more, as `over` does otherwise."""
        if not self._released:
            await self._wait(job_id, seen, seconds)

    def release(self) -> None:
        """Let everybody go, now and from now on: the process is about to stop."""
        self._released = True
        for task in (self._polling, self._looking):
            if task is not None:
                task.cancel()
        for waiters in list(self._by_job.values()):
            for waiter in waiters:
                _wake(waiter)

    @property
    def released(self) -> bool:
        """Whether the process is about to stop."""
        return self._released

    @property
    def waiting(self) -> int:
        """How many jobs are waited for."""
        return len(self._by_job)

    async def _wait(self, job_id: str, seen: JobState | None, seconds: float) -> None:
        waiter = self._register(job_id, seen)
        try:
            self._look_at([job_id])
            await self._until(waiter, seconds)
        finally:
            self._forget(job_id, waiter)

    def _register(self, job_id: str, seen: JobState | None) -> _Waiter:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), seen)
        self._by_job.setdefault(job_id, set()).add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return waiter

    async def _until(self, waiter: _Waiter, seconds: float) -> Found | None:
        if self._released:
            return None
        timer = asyncio.get_running_loop().call_later(seconds, _wake, waiter)
        try:
            found: Found | None = await waiter.future
        finally:
            timer.cancel()
        return found

    def _forget(self, job_id: str, waiter: _Waiter) -> None:
        waiters = self._by_job[job_id]
        waiters.discard(waiter)
        if not waiters:
            del self._by_job[job_id]

    def _wake(self, job_ids: Sequence[str] | None) -> None:
        if self._released:
            return
        if job_ids is None:
            self._look_at(self._by_job)
            return
        self._wake_watchers(job_ids)
        self._look_at([job_id for job_id in job_ids if job_id in self._by_job])

    def _wake_all(self, job_id: str, found: Any) -> None:
        """Wake all who wait for the job; where it could not be read, they look themselves."""
        for waiter in self._by_job.get(job_id, ()):
            _wake(waiter, None if isinstance(found, Exception) else found)

    def _wake_watchers(self, job_ids: Sequence[str]) -> None:
        """Wake those who want to hear of everything, whatever it was."""
        for job_id in job_ids:
            for waiter in self._by_job.get(job_id, ()):
                if waiter.seen is not None:
                    _wake(waiter)

    def _look_at(self, job_ids: "Sequence[str] | dict[str, set[_Waiter]]") -> None:
        self._woken.update(job_ids)
        if self._woken and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._woken:
                batch = [self._woken.pop() for _ in range(min(len(self._woken), _MOST_AT_ONCE))]
                await self._look_once([job_id for job_id in batch if job_id in self._by_job])
        finally:
            self._looking = None

    async def _look_once(self, job_ids: Sequence[str]) -> None:
        if not job_ids:
            return
        self.rounds += 1
        try:
            states = await self._look_up(job_ids)
        except StoreError as error:
            log.debug("could not look at %d jobs that are waited for: %s", len(job_ids), type(error).__name__)
            return
        for job_id, state in states.items():
            for waiter in self._by_job.get(job_id, ()):
                if waiter.wants(state):
                    _wake(waiter)

    async def _poll(self) -> None:
        while self._by_job:
            await asyncio.sleep(self._poll_seconds)
            self._look_at(self._by_job)


def _wake(waiter: _Waiter, found: Any = None) -> None:
    if not waiter.future.done():
        waiter.future.set_result(found)
