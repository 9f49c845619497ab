"""Submissions are committed in groups: small ones together, large ones beside them, so that none waits for another."""

from collections.abc import Sequence
from typing import NamedTuple

from api.arrivals import Arrivals
from api.http.bodies_in_flight import SMALL_BODY
from synthralos.core import Core
from synthralos.store.queue.submissions import Accepted, KeyReused, Submission
from synthralos.store.sql.group_commit import GroupCommit
from synthralos.telemetry.writes import measured

_SMALL_BATCH, _LARGE_BATCH = 500, 4

LARGE_BODY = SMALL_BODY
"""From this many bytes on, a body is parsed in a thread and committed beside the small ones, not among them."""


class _Weighed(NamedTuple):
    """A submission, and the bytes that it came in."""

    submission: Submission
    size: int


class Acceptance:
    """The group commits of one API process. Lives on its event loop."""

    def __init__(self, core: Core, arrivals: Arrivals) -> None:
        self._core = core
        self._arrivals = arrivals
        self._small = self._commits("accept", _SMALL_BATCH)
        self._large = self._commits("accept-large", _LARGE_BATCH)

    async def commit(self, submission: Submission, body_bytes: int) -> Accepted | KeyReused:
        """Store a submission durably. Raises `StoreUnavailable`, and at once `StoreBusy` where too many wait."""
        commits = self._large if body_bytes >= LARGE_BODY else self._small
        return await commits.commit(_Weighed(submission, body_bytes))

    async def close(self) -> None:
        """Commit what is pending."""
        await self._small.close()
        await self._large.close()

    def _commits(self, name: str, batch: int) -> GroupCommit[_Weighed, Accepted | KeyReused]:
        def accept(weighed: Sequence[_Weighed]) -> Sequence[Accepted | KeyReused]:
            return self._arrivals.accept([each.submission for each in weighed])

        return GroupCommit(
            name,
            measured(self._core.metrics, name, accept),
            give_up_after=self._core.settings.submit_timeout,
            size_of=lambda weighed: weighed.size,
            batch=batch,
            outages=self._core.outages,
        )
