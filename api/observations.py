"""What workers go by when they route, as far as the store has it: read when asked for, and kept for some seconds."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from api.http.auth import BriefCache
from pipelines.flow.held_up import Gatehouse
from pipelines.route.observed import Latencies, Observed
from synthralos.config.config import Config
from synthralos.domain.breakers import BreakerState
from synthralos.domain.quota_report import reports
from synthralos.domain.quotas import declared_by
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.read.answer_times import Answered, AnswerTimes
from synthralos.store.sql.database import Database

FRESH_SECONDS = 5.0
"""How long it is given out again."""

Reading = Callable[[Callable[[], "Observation"]], Awaitable["Observation"]]
"""Runs a read in a thread."""


class Observation(NamedTuple):
    """What the store had `at` a time by this process's clock."""

    at: datetime
    answered: Answered
    observed: Observed
    gatehouse: Gatehouse


class Observations:
    """Lives on one event loop. Three bounded reads every few seconds, and none where nobody asks."""

    def __init__(self, database: Database, read: Reading, config: Callable[[], Config]) -> None:
        self._answer_times, self._breakers = AnswerTimes(database), BreakerStore(database)
        self._quotas = QuotaStore(database)
        self._reading, self._config = read, config
        self._latencies = Latencies()
        self._last: BriefCache[Observation] = BriefCache(FRESH_SECONDS)

    async def now(self) -> Observation:
        """What the store has, at most `FRESH_SECONDS` old; raises `StoreError`."""
        return await self._last.get("", lambda: self._reading(self._read))

    def observed(self) -> Observed:
        """The latencies that were read last, for the route stage."""
        return self._latencies.now()

    def _read(self) -> Observation:
        config, answered = self._config(), self._answer_times.look()
        self._latencies.hear(answered.seconds)
        shut = {each.name: each for each in self._breakers.all() if each.state is not BreakerState.CLOSED}
        found, now = self._quotas.all()
        known = reports(found, declared_by(config.catalog, config.credentials.names_for), now)
        closed = {each.name: each for each in known if each.closed_until is not None}
        return Observation(datetime.now(UTC), answered, self._latencies.now(), Gatehouse(shut, closed))
