"""Flushes for group commits that do as the test says."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from synthralos.store.sql import commit_parts

AWAY = psycopg.OperationalError("the connection is lost")
LOCKED = psycopg.errors.LockNotAvailable("somebody holds the row")


def ten_times(items: Sequence[int]) -> list[int]:
    return [item * 10 for item in items]


class Gate:
    """A flush that waits at each batch until the test lets it through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._entered = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self._entered.release()
        assert self._open.acquire(timeout=30)
        return ten_times(items)

    async def entered(self) -> None:
        """A flush has begun."""
        await asyncio.to_thread(self.wait_entered)

    def wait_entered(self) -> None:
        """A flush has begun; blocks the loop."""
        assert self._entered.acquire(timeout=30)

    def let_through(self, batches: int = 1) -> None:
        """So many flushes may end."""
        self._open.release(batches)


class Failing:
    """A flush that raises `error` for as long as a batch holds any of the `bad` items."""

    def __init__(self, bad: set[int], error: Exception) -> None:
        self.bad = bad
        self.batches: list[list[int]] = []
        self._error = error

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if self.bad & set(items):
            raise self._error
        return ten_times(items)


class Told:
    """Hears the results of what was submitted, and waits for them."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self._some = asyncio.Event()

    def of(self, item: int) -> Any:
        """The callback of this item."""

        def done(result: Any) -> None:
            self.results[item] = result
            self._some.set()

        return done

    async def until(self, *items: int) -> None:
        """All of these were told."""
        async with asyncio.timeout(30):
            while not set(items) <= set(self.results):
                self._some.clear()
                await self._some.wait()


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""

    def none() -> Iterator[float]:
        while True:
            yield 0.0

    monkeypatch.setattr(commit_parts, "pauses", none)
