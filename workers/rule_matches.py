"""Writes down how often rules have matched: once every few seconds for all jobs that were judged meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from pipelines.flow.rule_counts import RuleCounts, RuleId
from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

WRITE_EVERY = 5.0
"""Seconds between two writes."""


class RuleMatches:
    """Lives on the event loop, and writes in threads. What cannot be written is kept for the next time."""

    def __init__(self, add: Callable[[Mapping[RuleId, int]], None], every: float = WRITE_EVERY) -> None:
        self.counts = RuleCounts()
        self._add = add
        self._every = every

    async def run(self) -> None:
        """Write again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write what was counted meanwhile, if anything was."""
        taken = self.counts.take()
        if not taken:
            return
        try:
            self._add(taken)
        except StoreError as error:
            self.counts.give_back(taken)
            log.debug("could not write what rules have matched: %s", type(error).__name__)
