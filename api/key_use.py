"""When each key was used last: noted in memory, and written once for all that were used meanwhile."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

WRITE_EVERY = 30.0
"""Seconds between two writes."""


class KeyUse:
    """Writes every so often, and at the end. What cannot be written is dropped: the next use is noted again."""

    def __init__(
        self, used: Callable[[], set[str]], write: Callable[[set[str]], Awaitable[None]], every: float = WRITE_EVERY
    ) -> None:
        """`used` gives the ids of the keys that were used since it was asked last."""
        self._used = used
        self._write = write
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what was noted, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self._flush()

    async def _flush(self) -> None:
        used = self._used()
        if used:
            try:
                await self._write(used)
            except StoreError as error:
                log.debug("could not note which keys were used: %s", error)
