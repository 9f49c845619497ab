"""A call that equal jobs wait for: see `pipelines.flow.single_flight`."""

import asyncio
from collections.abc import Hashable
from typing import Any

from synthralos.domain.prompts import Answered


class Flight:
    """The call of one job, from before it is booked until its answer is written, or it is known that none comes."""

    __slots__ = ("_flights", "_key", "ended", "job_id", "result")

    def __init__(self, flights: dict[Hashable, "Flight"], key: Hashable, job_id: str) -> None:
        self._flights, self._key = flights, key
        self.job_id = job_id
        self.result: dict[str, Any] | None = None
        self.ended: asyncio.Future[Answered | None] = asyncio.get_running_loop().create_future()

    def written(self, *, held: bool) -> None:
        """What became of the job is written: whoever waits has its answer, if there is one and the claim was `held`."""
        self._over(Answered(self.job_id, self.result) if held and self.result is not None else None)

    def failed(self) -> None:
        """No answer comes. Doing it twice, or after `written`, does no harm."""
        self._over(None)

    def _over(self, answer: Answered | None) -> None:
        if not self.ended.done():
            del self._flights[self._key]
            self.ended.set_result(answer)
