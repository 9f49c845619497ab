"""Group commit: whatever arrives while a transaction is being committed goes into the next one.

No timers and no tuning: an idle system commits at once, a busy one hundreds of items at a time. Callers live on an
event loop; the transactions run in two threads (`commit_lanes`), which take what waits without asking the loop, and
tell the loop once for each flush.
"""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from synthralos.store.sql.commit_lanes import Lane, MainLane, SideLane
from synthralos.store.sql.commit_parts import Entry, Pending
from synthralos.store.sql.commit_watch import Deadlines, Watchdog
from synthralos.store.sql.errors import StoreBusy, StoreUnavailable
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_PENDING = 20_000
MAX_PENDING_BYTES = 256 * 1024 * 1024
"""What may wait, where whoever asks can be told to come again."""

STUCK_AFTER = 60.0
"""Seconds. The time-outs of the server and of the connection end a flush long before."""


class GroupCommit(Generic[Item, Result]):
    """Collects items and hands them to `flush` in batches.

    `flush` writes all items in one transaction, gives one result per item, and must be safe to repeat, and safe to be
    called by two threads at once with different items. What it raises is sorted by `errors.classify`: while the
    database is away the batch is written again, for as long as it takes. Where the error is about what the batch
    holds, the batch is written in smaller and smaller parts beside the others; an item whose rows are held alone is
    tried again, and one that the database refuses alone gets the error.

    A batch holds at most `batch` items and `max_bytes` as `size_of` counts them (an item that is larger goes alone).
    An item is given up `give_up_after` seconds after it came (None: never), also while a flush hangs.
    """

    def __init__(
        self,
        name: str,
        flush: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        batch: int = 500,
        give_up_after: float | None = None,
        size_of: Callable[[Item], int] = lambda _: 0,
        max_bytes: int = 16 * 1024 * 1024,
        max_pending: int | None = MAX_PENDING,
        max_pending_bytes: int | None = MAX_PENDING_BYTES,
        stuck_after: float = STUCK_AFTER,
        abort: Callable[[], None] | None = None,
        outages: Outages | None = None,
    ) -> None:
        """`max_pending` items and `max_pending_bytes` may be unanswered; what comes then is refused (None: nothing is).

        `abort` is called, on the loop, when a flush has taken `stuck_after` seconds, and may end its connection.
        `outages` are the process's own, which hear of a database that is away.
        """
        self._name = name
        self._outages = outages or Outages()
        self._size_of = size_of
        self._patience = give_up_after
        self._max_pending = math.inf if max_pending is None else max_pending
        self._max_pending_bytes = math.inf if max_pending_bytes is None else max_pending_bytes
        self._waiting = 0
        self._bytes = 0
        self._pending = Pending(batch, max_bytes)
        self._side = SideLane(name, flush, self._told, self._outages)
        self._main = MainLane(name, flush, self._told, self._outages, self._pending, self._side)
        self._deadlines = Deadlines(self._give_up)
        self._watchdog = Watchdog(name, (self._main, self._side), lambda: self._waiting > 0, stuck_after, abort)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emptied = asyncio.Event()
        self._closed = False
        self.flushes = 0
        self.items = 0

    async def commit(self, item: Item) -> Result:
        """Write one item; returns when it is durable. Raises `StoreUnavailable`, `StoreBusy`, or what its write raised.

        Who is cancelled before the item was taken for a flush has it not written; afterwards it may be.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry = self._enter(item, partial(_resolve, future))
        try:
            return await future
        except asyncio.CancelledError:
            self._forget(entry)
            raise

    def submit(self, item: Item, done: Callable[[Result | Exception], None]) -> None:
        """Write one item; `done` is called on the loop, later, with its result or with what `commit` would raise."""
        try:
            self._enter(item, done)
        except StoreBusy as busy:
            asyncio.get_running_loop().call_soon(done, busy)

    def _enter(self, item: Item, done: Callable[[Any], None]) -> Entry:
        if self._closed:
            raise RuntimeError(f"{self._name}: the group commit is closed")
        loop = self._loop = self._loop or asyncio.get_running_loop()
        size = self._size_of(item)
        # What is larger than the bound by itself gets in where nothing else waits.
        if self._waiting >= self._max_pending or 0 < self._bytes > self._max_pending_bytes - size:
            raise StoreBusy(f"{self._name}: {self._waiting} items wait")
        self._waiting += 1
        self._bytes += size
        entry = Entry(item, done, size, 0.0)
        if self._patience is not None:
            entry.deadline = loop.time() + self._patience
            self._deadlines.add(entry, loop)
        self._pending.add(entry)
        if self._main.rests:
            self._main.rests = False
            loop.call_soon(self._main.ring)  # not at once: what else arrives in this turn of the loop comes along
        if self._watchdog.sleeps:
            self._watchdog.wake(loop)
        return entry

    def _told(self, entries: Sequence[Entry], results: Sequence[Any] | Exception) -> None:
        """Hand the results of one flush to the loop. Called by the lanes."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._answer_all, entries, results)
        except RuntimeError:
            log.error("%s: %d items have their answer, and nobody is left to be told", self._name, len(entries))

    def _answer_all(self, entries: Sequence[Entry], results: Sequence[Any] | Exception) -> None:
        answers: Iterable[Any] = itertools.repeat(results) if isinstance(results, Exception) else results
        if answers is results:
            self.flushes += 1
            self.items += len(entries)
        self._tell(entries, answers)
        self._deadlines.prune()

    def _tell(self, entries: Sequence[Entry], answers: Iterable[Any]) -> None:
        """Give the answers to those that still wait for them."""
        for entry, answer in zip(entries, answers, strict=False):
            done = self._forget(entry)
            if done is not None:
                try:
                    done(answer)
                except Exception:
                    log.error("%s: who was told of a result failed", self._name, exc_info=True)

    def _forget(self, entry: Entry) -> Callable[[Any], None] | None:
        """Nobody waits for the entry any more; who is to be told, if anybody. It is not written unless it was taken."""
        done, entry.done = entry.done, None
        if done is not None:
            self._waiting -= 1
            self._bytes -= entry.size
            if not self._waiting:
                self._emptied.set()
        return done

    def _give_up(self, entries: Sequence[Entry]) -> None:
        reason = f"{self._name}: writes are given up that were not confirmed in time"
        self._outages.failed(DATABASE, reason, "look at the database's load, and for what its statements wait")
        self._tell(entries, itertools.repeat(StoreUnavailable(f"{self._name}: not written in time")))
        self._pending.prune()
        self._main.ring()

    async def close(self) -> None:
        """Write what is pending, then stop the threads. Nothing may be committed afterwards."""
        while self._waiting:
            self._emptied.clear()
            await self._emptied.wait()
        self._closed = True
        self._deadlines.cancel()
        self._watchdog.cancel()
        for lane in (self._main, self._side):
            await _ended(lane)


async def _ended(lane: Lane) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    lane.stop(lambda: loop.call_soon_threadsafe(ended.set))
    await ended.wait()


def _resolve(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
