"""Carries out erasures, as long as this process leads: step after step, for a bounded share of its time."""

import logging
import time
from collections.abc import Callable, Sequence

from scheduler.share import Share
from synthralos.control.operator import Actor, Operator
from synthralos.domain.erasures import Erasure, ErasureState, OpenJobs
from synthralos.domain.scope import EVERYTHING
from synthralos.store.retention.erasures import Erasures, Forget
from synthralos.store.sql.database import Database
from synthralos.streams.protocol import StreamsAwayError

log = logging.getLogger(__name__)

ERASE_EVERY = 0.5
"""Seconds between two rounds."""

PIECE = 500
"""Rows of one transaction."""

_OPEN_AT_ONCE = 50
"""Open jobs that are cancelled in one round: each is a transaction of its own."""


class ErasureRunner:
    """`round` after round, by whoever leads. Not thread-safe."""

    def __init__(
        self,
        database: Database,
        operator: Operator,
        forgets: Sequence[Forget],
        share: float,
        leads: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`forgets` keep something of jobs outside of the database."""
        self._erasures = Erasures(database)
        self._operator, self._forgets, self._leads = operator, forgets, leads
        self._share = Share(share, clock)
        self.busy = False
        """Whether the last round found an erasure that is not done."""

    def round(self) -> bool:
        """Do a piece of each erasure in turn, while there is time; False: this process does not lead."""
        self._share.earn()
        if not self._leads():
            self.busy = False
            return False
        running = self._erasures.running()
        self.busy = bool(running)
        running = [each for each in running if self._may_begin(each)]
        while running and self._share.left and self._leads():
            running = [each for each in running if self._goes_on(each)]
        return True

    def _may_begin(self, erasure: Erasure) -> bool:
        """Whether none of its jobs is open; where it may, it cancels them. Once it has begun, a step says if one is."""
        if erasure.step is not None and erasure.state is ErasureState.RUNNING:
            return True
        found = self._erasures.open_jobs(erasure, _OPEN_AT_ONCE)
        if found and erasure.open_jobs is OpenJobs.CANCEL:
            self._operator.cancel(found, Actor(erasure.created_by, EVERYTHING, f"erasure {erasure.id}"))
            found = self._erasures.open_jobs(erasure, 1)
        self._erasures.note(erasure, ErasureState.WAITING if found else ErasureState.RUNNING)
        return not found

    def _goes_on(self, erasure: Erasure) -> bool:
        """Do a piece; whether there is another."""
        try:
            return self._share.spend(lambda: self._erasures.step(erasure.id, PIECE, self._forget))
        except StreamsAwayError as error:
            log.warning("an erasure waits for what keeps the chunks of jobs: %s", error)
            return False

    def _forget(self, job_ids: Sequence[str]) -> None:
        for forget in self._forgets:
            forget(job_ids)
