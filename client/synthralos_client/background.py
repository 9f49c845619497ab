"""Running async work from sync code, whatever event loops the caller may have: in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Runs `work` while its `with` block runs; leaving the block early (Ctrl-C, say) cancels it.

    `on_end` is called in the thread when the work has ended, however it ended.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], on_end: Callable[[], object]) -> None:
        self._work, self._on_end = work, on_end
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[T] = self._loop.create_task(work())
        self._thread = threading.Thread(target=self._run, name="synthralos-client", daemon=True)

    def result(self) -> T:
        """What the work returned or raised. Call it after `on_end`."""
        self._thread.join()
        return self._task.result()

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(asyncio.wait([self._task]))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._on_end()
