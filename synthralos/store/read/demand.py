"""How much work is open, for whoever starts and stops workers: the same cost however much there is.

Nothing is counted beyond `MOST`, and every look is at the head of an index.
"""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.read.backlogs import Backlogs
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, utcnow, word
from synthralos.store.tables import open_jobs

MOST = 20_000
"""Jobs of one kind that are counted; a figure as large as this means that there are so many or more."""

WINDOWS = (60.0, 300.0, 3_600.0, 86_400.0)
"""Seconds within which deadlines are; each window begins where the one before ends, the first with what is overdue."""


class Queue(NamedTuple):
    """A stage and a lane: jobs that are `queued`, `active` in a worker, and how long the oldest queued one has waited.

    `due`: how many of its open jobs have their deadline in each of `WINDOWS`.
    """

    queued: int
    active: int
    oldest_seconds: float
    due: tuple[int, ...]


class Demand(NamedTuple):
    """Open work at a time of the database's clock. `parked` jobs wait for their time or their turn."""

    at: datetime
    queues: dict[tuple[Stage, Lane], Queue]
    parked: int


class DemandReader:
    """Reads it."""

    def __init__(self, database: Database, ring_again_after: float = 10.0, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._backlogs = Backlogs(database, ring_again_after, most)

    def read(self) -> Demand:
        """The demand now."""
        queued, parked = self._backlogs.queues(), self._backlogs.parked()
        with self._database.searching() as connection:
            at = connection.execute(sa.select(utcnow())).scalar_one()
            active = self._counted(connection, open_jobs.c.state == word(State.ACTIVE))
            due = [self._counted(connection, *_due(number)) for number in range(len(WINDOWS))]
        queues = {}
        for key, backlog in queued.items():
            queues[key] = Queue(
                backlog.count, active.get(key, 0), backlog.oldest, tuple(window.get(key, 0) for window in due)
            )
        return Demand(at, queues, parked)

    def _counted(self, connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> dict[tuple[Stage, Lane], int]:
        first = sa.select(open_jobs.c.stage, open_jobs.c.lane).where(*conditions).limit(self._most).subquery()
        query: Any = sa.select(first.c.stage, first.c.lane, sa.func.count().label("number"))
        rows = connection.execute(query.group_by(first.c.stage, first.c.lane))
        return {(Stage(row.stage), Lane(row.lane)): row.number for row in rows}


def _due(number: int) -> list[sa.ColumnElement[bool]]:
    deadline = open_jobs.c.deadline
    found = [deadline.is_not(None), deadline < asked_at(sa.literal(WINDOWS[number]))]
    return found if number == 0 else [*found, deadline >= asked_at(sa.literal(WINDOWS[number - 1]))]
