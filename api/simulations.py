"""Simulations that one API process runs: few at once, and one at a time for an organization in all processes."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from pipelines.flow.trial import trial
from pipelines.policies.simulate import Simulation
from synthralos.config.config import Config
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import Scope
from synthralos.store.admin.simulations import SILENCE, Turns
from synthralos.store.read.jobs import Row
from synthralos.store.read.recorded import Recorded, RecordedJobs
from synthralos.store.sql.database import Database

MOST = 2
"""Simulations that a process runs at once, and sets that it looks at: what they take of it, nobody else has."""


class TurnLost(Exception):
    """Somebody else has the turn: this process was not heard of for too long."""


class Run:
    """One simulation under way. `step` blocks, and is called by one thread at a time."""

    def __init__(self, simulation: Simulation, pages: Iterator[list[Row]], turns: Turns, turn: str) -> None:
        self.simulation = simulation
        self.began = self._kept = time.monotonic()
        self.ended = False
        self._pages, self._turns, self._turn = pages, turns, turn

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.began

    def step(self) -> bool:
        """Take one more page of jobs; False where there is none. Raises `TurnLost` and `StoreError`."""
        if time.monotonic() - self._kept > SILENCE / 3:
            self._kept = time.monotonic()
            if not self._turns.keep(self._turn):
                raise TurnLost
        page = next(self._pages, None)
        if page is None:
            return False
        self.simulation.take(page)
        return True

    def end(self) -> None:
        """Give back the turn; twice is once. Raises `StoreError`."""
        self._turns.give_back(self._turn)
        self.ended = True


class Simulations:
    """Begins them. `room` bounds how many run in this process: it is held by whoever calls `Run.step`.

    `looks` bounds how many sets are tried on the `newest` jobs at once; whoever comes later waits for some moments.
    """

    def __init__(self, database: Database) -> None:
        self.room = asyncio.BoundedSemaphore(MOST)
        self.looks = asyncio.BoundedSemaphore(MOST)
        self._turns = Turns(database)
        self._jobs = RecordedJobs(database)

    def begin(self, config: Config, draft: PolicySet, wanted: Recorded, scope: Scope) -> Run | None:
        """A run of the draft on these jobs; None where the organization, or whoever sees all, has one under way."""
        turn = self._turns.take(wanted.organization or scope.organization)
        if turn is None:
            return None
        simulation = trial(config, draft, datetime.now(UTC))
        return Run(simulation, self._jobs.pages(wanted, scope), self._turns, turn)

    def newest(self, policy: PolicySet, last: int) -> Iterator[list[Row]]:
        """The newest jobs of those whom a set is for, page by page."""
        return self._jobs.pages(Recorded(last), Scope(policy.organization, policy.workspace))
