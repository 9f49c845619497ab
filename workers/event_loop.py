"""The event loop of a worker: in a thread of its own, so that a Dramatiq thread never waits for a call."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


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

    def result(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run something on the loop and wait for what it brings, for another thread.

        Raises `TimeoutError` after `timeout` seconds, and cancels it; `RuntimeError` where the loop has stopped.
        """
        try:
            running = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise
        try:
            return running.result(timeout)
        except TimeoutError:
            running.cancel()
            raise

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin something on the loop without waiting for it; nothing happens on a loop that has stopped."""
        self.call(self._begin, work)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self.loop.create_task(work())
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def _cancel_and_stop(self) -> None:
        for task in self._spawned:
            task.cancel()
        self.loop.call_soon(self.loop.stop)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the loop without waiting for it; nothing happens on a loop that has stopped."""
        with suppress(RuntimeError):  # closed
            self.loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Stop the loop; what was spawned is cancelled, what else still runs on it is dropped."""
        self.loop.call_soon_threadsafe(self._cancel_and_stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()
