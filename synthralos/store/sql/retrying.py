"""The one loop that tries again while the database is away, and the pauses that all such loops make."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from synthralos.store.sql.errors import is_transient

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two tries: each pause is twice the one before, up to the longest."""


class Stopped(Exception):
    """The process stops: it was tried no further."""


def pauses(first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Seconds to wait after the first failure, after the second, and so on without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * 2, longest)


def keep_trying(
    act: Callable[[], Result],
    *,
    stopping: threading.Event | None = None,
    patience: float | None = None,
    passes: Callable[[Exception], bool] = is_transient,
    tell: Callable[[Exception], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """What `act` returns, as soon as it does; an error that does not pass, or lasts, is raised.

    `patience`: seconds from the first try after which no further one is made (None: as long as it takes). `tell` hears
    of every error that is waited for. Raises `Stopped` when `stopping` is set, before the first try too.
    """
    stop = threading.Event() if stopping is None else stopping
    until = None if patience is None else clock() + patience
    for pause in pauses():
        if stop.is_set():
            raise Stopped
        try:
            return act()
        except Exception as error:
            if not passes(error) or (until is not None and clock() >= until):
                raise
            tell(error)
        stop.wait(pause)
    raise AssertionError("the pauses never end")


async def keep_trying_async(act: Callable[[], Awaitable[Result]]) -> Result:
    """The same on an event loop, for as long as it takes; cancel it to stop it."""
    for pause in pauses():
        try:
            return await act()
        except Exception as error:
            if not is_transient(error):
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the pauses never end")
