"""The leader's work on what is known of finished jobs: their figures, their sums, and the index of their words.

It takes a bounded share of the time, so that it never costs the jobs more than that; it lags behind instead, and what
has not been digested yet is looked at directly where somebody asks. While nothing happens it is one look every two
seconds.
"""

import time
from collections.abc import Callable

from synthralos.domain.observing import FINISHED, LATE
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.observed import Observed
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database

DIGEST_EVERY = 2.0
"""Seconds between two looks for jobs that have finished."""

_LATE_EVERY, _PRUNE_EVERY = 30.0, 600.0
_MOST_SAVED = 0.5
"""Seconds of work that may be done at once, after a time in which there was little."""


class Digesting:
    """Works for `share` of the time, counted from when it is called first. `round` is called by one thread."""

    def __init__(
        self,
        database: Database,
        share: float,
        leads: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[], object] = lambda: None,
    ) -> None:
        """`told` is called where a round has taken ends of jobs, which can be read from then on."""
        self._digest = Digest(database)
        self._texts = TextIndex(database)
        self._observed = Observed(database)
        self._share = share
        self._leads = leads
        self._clock = clock
        self._told = told
        self._at = clock()
        self._saved = 0.0
        self._late_at = self._prune_at = clock()

    def round(self) -> bool:
        """Do what there is to do and may be done now, where this scheduler leads; whether it does."""
        now = self._clock()
        self._saved = min(_MOST_SAVED, self._saved + (now - self._at) * self._share)
        self._at = now
        if not self._leads():
            return False
        digested = self._digest.digested
        for act in (lambda: self._digest.round(FINISHED), self._late, self._texts.round, self._prune):
            while self._saved >= 0 and self._leads() and self._timed(act):
                pass
        if self._digest.digested != digested:
            self._told()
        return True

    def _timed(self, act: Callable[[], bool]) -> bool:
        began = self._clock()
        try:
            return act()
        finally:
            self._saved -= self._clock() - began

    def _late(self) -> bool:
        if self._clock() < self._late_at:
            return False
        more = self._digest.round(LATE)
        if not more:
            self._late_at = self._clock() + _LATE_EVERY
        return more

    def _prune(self) -> bool:
        if self._clock() < self._prune_at:
            return False
        more = self._observed.prune()
        if not more:
            self._prune_at = self._clock() + _PRUNE_EVERY
        return more
