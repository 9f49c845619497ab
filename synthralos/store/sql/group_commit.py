"""Group commit: whatever arrives while a transaction is being committed goes into the next one.

No timers and no tuning: an idle system commits at once, a busy one hundreds of items at a time. Lives on an
event loop; the transactions run in a thread of their own.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from synthralos.store.sql.errors import StoreUnavailable, is_contention, is_transient

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

_TRIES_TOGETHER = 3
"""How often a batch that fails, as if by an outage, is tried as it is; then in halves, down to single items."""

_SAY_AGAIN = 60.0
"""Seconds after which a write that still fails is logged once more."""


_Batch = list[tuple[Item, "asyncio.Future[Result]"]]


class GroupCommit(Generic[Item, Result]):
    """Collects items and hands them to `flush` in batches, one batch at a time.

    `flush` runs in a thread, writes all items in one transaction, gives one result per item, and must be
    safe to repeat: a batch whose connection broke is written again, until `give_up_after` seconds (None:
    for as long as it takes), and in smaller and smaller batches, because it may be what a batch holds that breaks
    the connection. An error that will not pass by itself is narrowed down to the items that cause it, and raised to
    those alone. A batch holds at most `batch` items and `max_bytes` as `size_of` counts them (an item that is larger
    goes alone).
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
    ) -> None:
        self._name = name
        self._flush = flush
        self._batch = batch
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._give_up_after = give_up_after
        self._pending: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._aside: deque[_Aside[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"commit-{name}")
        self.flushes = 0
        self.items = 0

    async def commit(self, item: Item) -> Result:
        """Write one item; returns when it is durable. Raises `StoreUnavailable`."""
        return await self._enqueue(item)

    def submit(self, item: Item, done: Callable[[Result | Exception], None]) -> None:
        """Write one item; `done` is called on the loop with its result or its error."""

        def told(future: "asyncio.Future[Result]") -> None:
            error = future.exception()
            if error is None:
                done(future.result())
            elif isinstance(error, Exception):
                done(error)
            else:
                raise error

        self._enqueue(item).add_done_callback(told)

    async def commit_all(self, items: Sequence[Item]) -> list[Result]:
        """Write several items, possibly in several transactions; results in order."""
        return await asyncio.gather(*[self._enqueue(item) for item in items])

    def _enqueue(self, item: Item) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._pending.append((item, future))
        self._arrived.set()
        if self._task is None:
            self._task = loop.create_task(self._drain())
        return future

    async def _drain(self) -> None:
        try:
            while self._pending or self._aside:
                now = asyncio.get_running_loop().time()
                if self._aside and self._aside[0].due <= now:
                    waiting = self._aside.popleft()
                    await self._write([waiting.item], waiting.outage)
                elif not self._pending:
                    await self._wait(self._aside[0].due - now)
                # In turns: items that were set aside may be due all the time, and each is waited for.
                if self._pending:
                    await self._write(self._next_batch())
        finally:
            self._task = None

    async def _wait(self, seconds: float) -> None:
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    def _next_batch(self) -> "_Batch[Item, Result]":
        batch = [self._pending.popleft()]
        size = self._size_of(batch[0][0])
        while self._pending and len(batch) < self._batch:
            size += self._size_of(self._pending[0][0])
            if size > self._max_bytes:
                break
            batch.append(self._pending.popleft())
        return batch

    async def _write(self, batch: "_Batch[Item, Result]", outage: "_Outage | None" = None) -> None:
        outage = _Outage(self._name) if outage is None else outage
        rest = deque([batch])
        while rest:
            part = rest.popleft()
            try:
                results = await self._flushed(part)
            except Exception as error:  # noqa: BLE001 - the edge of the batch: each waiter gets the error
                if not is_transient(error):
                    await self._narrow_down(part, error)
                    continue
                pause, contended = outage.seen(error, len(part)), is_contention(error)
                if self._give_up_after is None or outage.seconds + pause <= self._give_up_after:
                    await self._put_off(part, rest, outage, pause, contended)
                elif contended:
                    self._give_up([part], error)
                else:
                    self._give_up([part, *rest], error)
                    return
            else:
                outage.passed = True
                self._resolve(part, results)

    async def _put_off(
        self,
        part: "_Batch[Item, Result]",
        rest: "deque[_Batch[Item, Result]]",
        outage: "_Outage",
        pause: float,
        contended: bool,
    ) -> None:
        """Try the part later. A row that somebody holds delays its own item only, an outage all of them."""
        if len(part) == 1 and (contended or outage.passed):
            self._aside.append(_Aside(asyncio.get_running_loop().time() + pause, part[0], outage))
        elif contended:
            rest.extend(_halves(part))
        else:
            rest.extend(_halves(part) if outage.tries > _TRIES_TOGETHER else [part])
            await asyncio.sleep(pause)

    async def _flushed(self, batch: "_Batch[Item, Result]") -> Sequence[Result]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._flush, [item for item, _ in batch])

    @staticmethod
    def _give_up(parts: "Sequence[_Batch[Item, Result]]", error: Exception) -> None:
        log.warning("gave up a write of %d items: %s", sum(map(len, parts)), type(error).__name__)
        for part in parts:
            _fail(part, StoreUnavailable(type(error).__name__))

    async def _narrow_down(self, batch: "_Batch[Item, Result]", error: Exception) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        log.error("a write of %d items failed, trying them apart: %s", len(batch), type(error).__name__)
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    def _resolve(self, batch: "_Batch[Item, Result]", results: Sequence[Result]) -> None:
        self.flushes += 1
        self.items += len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def close(self) -> None:
        """Write what is pending, then stop the thread. Nothing may be committed afterwards."""
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=True)


class _Outage:
    """What is known of a write that fails again and again: how often, for how long, and whether it was said."""

    def __init__(self, name: str) -> None:
        self.tries = 0
        self.passed = False
        self._name = name
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._said = -_SAY_AGAIN
        self._pause = _FIRST_PAUSE

    @property
    def seconds(self) -> float:
        """Since the first try."""
        return self._clock() - self._started

    def seen(self, error: Exception, items: int) -> float:
        """It failed once more; the seconds to wait before the next try."""
        self.tries += 1
        if self.seconds - self._said >= _SAY_AGAIN:
            self._said = self.seconds
            log.warning("%s: a write of %d items fails, trying again: %s", self._name, items, type(error).__name__)
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return pause


@dataclass(slots=True)
class _Aside(Generic[Item, Result]):
    """An item that waits for rows of its own while others are written; `due` by the loop's clock."""

    due: float
    item: "tuple[Item, asyncio.Future[Result]]"
    outage: _Outage


def _halves(batch: "_Batch[Item, Result]") -> "list[_Batch[Item, Result]]":
    middle = len(batch) // 2
    return [half for half in (batch[:middle], batch[middle:]) if half]


def _fail(batch: "_Batch[Item, Result]", error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
