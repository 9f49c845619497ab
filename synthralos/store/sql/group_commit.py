"""Group commit: whatever arrives while a transaction is being committed goes into the next one.

No timers and no tuning: an idle system commits at once, a busy one hundreds of items at a time. Lives on an
event loop; the transactions run in a thread of their own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from synthralos.store.sql.database import is_transient

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class StoreUnavailable(Exception):
    """The database did not take the write in time. It may or may not have been committed."""


class GroupCommit(Generic[Item, Result]):
    """Collects items and hands them to `flush` in batches, one batch at a time.

    `flush` runs in a thread, writes all items in one transaction, gives one result per item, and must be
    safe to repeat: a batch whose connection broke is written again, until `give_up_after` seconds (None:
    for as long as it takes). An error that will not pass by itself is narrowed down to the items that cause
    it, and raised to those alone.
    """

    def __init__(
        self,
        name: str,
        flush: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        batch: int = 500,
        give_up_after: float | None = None,
    ) -> None:
        self._flush = flush
        self._batch = batch
        self._give_up_after = give_up_after
        self._pending: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"commit-{name}")
        self.flushes = 0
        self.items = 0

    async def commit(self, item: Item) -> Result:
        """Write one item; returns when it is durable. Raises `StoreUnavailable`."""
        return await self._enqueue(item)

    def submit(self, item: Item, done: Callable[[Result | Exception], None], size: int = 0) -> None:
        """Write one item; `done` is called on the loop with its result or its error. `size` in bytes, 0 if unknown."""

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
        if self._task is None:
            self._task = loop.create_task(self._drain())
        return future

    async def _drain(self) -> None:
        try:
            while self._pending:
                size = min(len(self._pending), self._batch)
                batch = [self._pending.popleft() for _ in range(size)]
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), _FIRST_PAUSE
        while True:
            try:
                results = await loop.run_in_executor(self._thread, self._flush, [item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - the edge of the batch: each waiter gets the error
                if not is_transient(error):
                    await self._narrow_down(batch, error)
                    return
                if self._give_up_after is not None and loop.time() - started + pause > self._give_up_after:
                    log.warning("gave up a write of %d items: %s", len(batch), type(error).__name__)
                    _fail(batch, StoreUnavailable(type(error).__name__))
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._resolve(batch, results)
                return

    async def _narrow_down(self, batch: list[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        log.error("a write of %d items failed, trying them apart: %s", len(batch), type(error).__name__)
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    def _resolve(self, batch: list[tuple[Item, "asyncio.Future[Result]"]], results: Sequence[Result]) -> None:
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


def _fail(batch: list[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
