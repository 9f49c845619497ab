"""StackStorm's circuit breaker: the leader opens it, probes by itself, and every worker knows of it.

It is one of `breakers`, so that people see it, hear of it, and reset it as any other.
"""

import time
from collections.abc import Callable

from scheduler.stackstorm.link import Failed
from synthralos.domain.breakers import PROBES, Breaker, BreakerState
from synthralos.domain.repairs import STACKSTORM
from synthralos.store.admin.breakers import BreakerStore

TROUBLES = 2
"""Calls in a row that come to nothing before no more are made."""


class LinkBreaker:
    """Used by the leader's thread and its calls."""

    def __init__(
        self,
        store: BreakerStore,
        actor: Callable[[], str],
        told: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`actor` is this process's id, which goes on record; `told` tells all workers to look at the breakers."""
        self._store, self._actor, self._told, self._clock = store, actor, told, clock
        self._troubles = 0
        self.shut: str | None = None
        """Why StackStorm gets no calls; None: it gets them."""

    def look(self, ping: Callable[[], Failed | None]) -> None:
        """See how it stands; where it is due, try whether StackStorm is back."""
        breaker = self._store.get(STACKSTORM)
        if breaker is not None and breaker.state is not BreakerState.CLOSED:
            breaker = self._probe(breaker, ping)
        self.shut = None if breaker is None or breaker.state is BreakerState.CLOSED else breaker.reason or "it was away"

    def ended(self, failed: Failed | None) -> None:
        """A call has ended."""
        if failed is None:
            self._troubles = 0
            return
        self._troubles += 1
        if self._troubles >= TROUBLES and self.shut is None:
            self.shut = failed.detail
            self._store.broken(STACKSTORM, failed.detail, self._actor())
            self._told()

    def _probe(self, breaker: Breaker, ping: Callable[[], Failed | None]) -> Breaker:
        """Every probe that is to be had: when all have passed, the breaker is closed."""
        for _ in range(sum(PROBES)):
            if not self._store.claim_probe(STACKSTORM, self._actor()):
                break
            failed = ping()
            breaker = self._store.probed(STACKSTORM, None if failed is None else failed.detail, self._actor())
            if failed is not None or breaker.state is BreakerState.CLOSED:
                self._troubles = 0
                self._told()
                break
        return breaker
