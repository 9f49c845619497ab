"""Questions that go through many rows: few at once, in threads of their own, so that no job waits behind them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.http.auth import BriefCache
from api.http.problems import too_many, unavailable
from synthralos.store.read.demand import Demand, DemandReader
from synthralos.store.read.observed import ObservedErrors, ObservedJobs
from synthralos.store.read.search import TraceSearch
from synthralos.store.sql.database import POOLS, Database
from synthralos.store.sql.errors import DatabaseFailed, Kind

Result = TypeVar("Result")

MOST_WAITING = 32
"""Questions that may wait for one that is asked; further ones are refused at once."""

DEMAND_SECONDS = 1.0
"""How long the demand is given out again."""


class Searching:
    """Holds what such questions are put to. Lives on one event loop."""

    def __init__(self, database: Database) -> None:
        self.traces = TraceSearch(database)
        self.jobs = ObservedJobs(database)
        self.errors = ObservedErrors(database)
        self.demand = DemandReader(database)
        self._threads = ThreadPoolExecutor(POOLS["search"][0], thread_name_prefix="search")
        self._asked = 0
        self._demand: BriefCache[Demand] = BriefCache(DEMAND_SECONDS)

    async def ask(self, query: Callable[[], Result]) -> Result:
        """The answer; raises a 429 where too many wait, and a 503 where it took too long."""
        if self._asked >= MOST_WAITING:
            raise too_many("Too many searches are under way in this process: ask again in a moment.")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, query)
        except DatabaseFailed as error:
            if error.kind is Kind.CONTENTION:
                raise unavailable("The search took too long: ask for a shorter time, or for rarer words.") from error
            raise
        finally:
            self._asked -= 1

    async def demand_now(self) -> Demand:
        """The demand, at most `DEMAND_SECONDS` old."""
        return await self._demand.get("", lambda: self.ask(self.demand.read))

    def close(self) -> None:
        """Wait for the questions under way."""
        self._threads.shutdown(wait=True)
