"""All of retention behind one door: a step of a kind, and what would be removed."""

from collections.abc import Iterator, Sequence

from synthralos.domain.retention import Kind, Retention
from synthralos.store.retention.freed_pages import FreedPages
from synthralos.store.retention.housekeeping import OLD, Housekeeping
from synthralos.store.retention.passes import Passes, Step
from synthralos.store.retention.sources import SOURCES
from synthralos.store.sql.database import Database

KINDS: Sequence[Kind] = tuple(kind for kind in Kind if kind in SOURCES or kind in OLD)
"""What is removed, in the order in which it is: what is kept shortest first."""


class Keeping:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._passes = Passes(database)
        self._housekeeping = Housekeeping(database)
        self._pages = FreedPages(database)

    def step(self, kind: Kind, times: Retention, most: int) -> Step:
        """Remove about `most` of what is due of a kind."""
        step = self._passes.step(kind, times, most) if kind in SOURCES else Step(0, False)
        if kind not in OLD or step.more:
            return step
        forgotten = self._housekeeping.step(kind, times, most)
        return Step(step.removed + forgotten, forgotten > 0, step.lag)

    def due(self, kind: Kind, times: Retention) -> int:
        """How many rows would be removed now; of jobs, whole jobs are counted."""
        found = self._passes.due(kind, times) if kind in SOURCES else 0
        return found + (self._housekeeping.due(kind, times) if kind in OLD else 0)

    def run(self, times: Retention, most: int = 5_000) -> Iterator[tuple[Kind, int]]:
        """Remove all that is due; how much of each kind, one kind after the other."""
        for kind in KINDS:
            total, more = 0, True
            while more:
                step = self.step(kind, times, most)
                total, more = total + step.removed, step.more
            yield kind, total
        while self.give_back():
            pass

    def give_back(self) -> bool:
        """Give some of the room back that is free now, where the database does not; whether there may be more."""
        return self._pages.give_back()
