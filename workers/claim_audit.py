"""The audit of this worker's own claims: what the store says that it holds, against what it has under way.

A job that the worker holds and has forgotten would stay active as long as the worker lives: it is given back. A call
whose claim was lost without the worker hearing of it is cut. Either has to be seen in two rounds, so that a job that
is just being taken or written is left alone.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.flow.registry import Key, Registry
from synthralos.domain.states import Lane, Stage

log = logging.getLogger(__name__)

AUDIT_SECONDS = 30.0
"""Seconds between two rounds."""


class Held(Protocol):
    """The part of the store that knows who holds what."""

    def active(self, worker_id: str) -> list[Key]:
        """The jobs that the worker holds."""
        ...

    def give_back(self, worker_id: str, claims: Sequence[Key]) -> list[tuple[str, Stage, Lane]]:
        """Queue those that it still holds under these claims: (id, stage, lane) of each."""
        ...


class ClaimAudit:
    """Looks every `AUDIT_SECONDS`. Lives on the event loop; asks the store in threads."""

    def __init__(
        self,
        held: Held,
        registry: Registry,
        worker_id: Callable[[], str],
        ring: Callable[[Stage, Lane, Sequence[str]], None],
    ) -> None:
        self._held = held
        self._registry = registry
        self._worker_id = worker_id
        self._ring = ring
        self._forgotten: set[Key] = set()
        self._lost: set[Key] = set()

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(AUDIT_SECONDS)
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the edge of a task that has to outlive a database that is away
                log.warning("the audit of the claims could not be made: %s", type(error).__name__)

    async def round(self) -> None:
        """One look: act on what was already seen in the last one."""
        worker_id = self._worker_id()
        holding = set(self._registry.holding())
        active = set(await asyncio.to_thread(self._held.active, worker_id))
        forgotten = active.difference(self._registry.under_way())
        lost = holding - active
        again, self._forgotten = forgotten & self._forgotten, forgotten
        revoked, self._lost = lost & self._lost, lost
        if revoked:
            log.error("cutting %d calls whose claims were lost unheard", len(revoked))
            self._registry.cut(sorted(revoked))
        if again:
            await self._give_back(worker_id, sorted(again))

    async def _give_back(self, worker_id: str, claims: Sequence[Key]) -> None:
        log.error("giving back %d jobs that this worker holds and has forgotten: %s", len(claims), claims[:10])
        for job_id, stage, lane in await asyncio.to_thread(self._held.give_back, worker_id, claims):
            self._ring(stage, lane, [job_id])
