"""What other workers saw of how long deployments take: read when this one starts, and every minute."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from pipelines.route.observed import Latencies
from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

READ_EVERY = 60.0
"""Seconds between two reads."""


class AnswerTimesWatch:
    """Lives on the event loop, and reads in threads. What cannot be read is read the next time."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, Sequence[float]]],
        latencies: Callable[[], Latencies],
        every: float = READ_EVERY,
    ) -> None:
        """`read`: see `AnswerTimes.read`; `every` in seconds."""
        self._read, self._latencies, self._every = read, latencies, every

    async def run(self) -> None:
        """Read at once, and again and again, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Read once."""
        try:
            found = await asyncio.to_thread(self._read)
        except StoreError as error:
            log.debug("could not read how long deployments take: %s", type(error).__name__)
        else:
            self._latencies().hear(found)
