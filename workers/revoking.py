"""Claims that were revoked under this process (a job was cancelled or rerouted): its calls for them are cut."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

from pipelines.flow.registry import Registry, is_ours
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.errors import is_transient

log = logging.getLogger(__name__)

Spawn = Callable[[Callable[[], Coroutine[None, None, None]]], None]


class Revoked:
    """Hears of revoked claims. `spawn` begins something on the loop of the calls."""

    def __init__(self, reader: Reader, registry: Registry, spawn: Spawn) -> None:
        self._reader, self._registry, self._spawn = reader, registry, spawn

    def hear(self, job_ids: Sequence[str] | None) -> None:
        """The claim of these jobs (of any, where None) may have been revoked: cut those calls of ours that lost it."""
        self._spawn(lambda: self._cut(job_ids))

    async def _cut(self, job_ids: Sequence[str] | None) -> None:
        wanted = None if job_ids is None else set(job_ids)
        ours = [key for key in self._registry.running() if wanted is None or key[0] in wanted]
        if not ours:
            return
        try:
            claims = await asyncio.to_thread(self._reader.claims, [job_id for job_id, _ in ours])
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("could not ask whose claims hold; the audit will: %s", type(error).__name__)
            return
        self._registry.cut([key for key in ours if not is_ours(claims.get(key[0]), key[1])])
