"""Jobs that should move and do not, by stage and lane. Every look is bounded, and at the head of an index."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, id_text, word
from synthralos.store.tables import open_jobs

Queue = tuple[Stage, Lane]

RUNG_IN_VAIN = 6
"""Times that a queued job was rung again, from which on it is stuck: somebody should have come."""

OVERDUE = 60.0
"""Seconds after its time from which on a parked job is stuck: the sweeper should have woken it."""

_HEAD = 100
_MOST = 2_000
"""Jobs of one kind that are looked at."""


class StuckReader:
    """Reads them."""

    def __init__(self, database: Database, call_timeout: float) -> None:
        """`call_timeout` in seconds bounds every call: a job that has been in one for three times as long is stuck."""
        self._database = database
        self._in_call = {"seconds": -3.0 * call_timeout}

    def counts(self, crowded: Callable[[Stage, Lane], bool]) -> Mapping[Queue, int]:
        """How many are stuck in each queue. In a queue that is `crowded` in the broker, jobs wait for their turn."""
        with self._database.snapshot() as connection:
            found: Counter[Queue] = Counter()
            for row in connection.execute(_QUEUED):
                queue = Stage(row.stage), Lane(row.lane)
                if row.number and not crowded(*queue):
                    found[queue] += row.number
            for query in (_PARKED, _IN_CALL):
                for row in connection.execute(query, self._in_call if query is _IN_CALL else {}):
                    found[Stage(row.stage), Lane(row.lane)] += row.number
        return found

    def queued(self, stage: Stage, lane: Lane) -> list[str]:
        """The ids of those at the head of a queue."""
        with self._database.snapshot() as connection:
            return list(connection.execute(_head(stage, lane, id_text(open_jobs.c.id))).scalars())


def _head(stage: Stage, lane: Lane, *columns: Any) -> Any:
    table = open_jobs.c
    mine = table.state == word(State.QUEUED), table.stage == word(stage), table.lane == word(lane)
    return sa.select(*columns).where(*mine).order_by(table.notified_at).limit(_HEAD)


def _queued() -> Any:
    parts = []
    for stage in Stage:
        for lane in Lane:
            head = _head(stage, lane, open_jobs.c.rings).subquery()
            number = sa.select(sa.func.count()).select_from(head).where(head.c.rings >= RUNG_IN_VAIN)
            parts.append(
                sa.select(
                    word(stage).label("stage"), word(lane).label("lane"), number.scalar_subquery().label("number")
                )
            )
    return sa.union_all(*parts)


def _counted(*conditions: Any, seen: Callable[[Any], Any] = lambda some: sa.true()) -> Any:
    table = open_jobs.c
    first = sa.select(table.stage, table.lane, table.in_flight, table.started_at).where(*conditions).limit(_MOST)
    some = first.subquery()
    counted: Any = sa.select(some.c.stage, some.c.lane, sa.func.count().label("number"))
    return counted.where(seen(some)).group_by(some.c.stage, some.c.lane)


_QUEUED = _queued()
_PARKED = _counted(
    open_jobs.c.run_at.is_not(None),
    open_jobs.c.run_at < asked_at(sa.literal(-OVERDUE)),
    open_jobs.c.state == word(State.PARKED),
)
_IN_CALL = _counted(
    open_jobs.c.state == word(State.ACTIVE),
    seen=lambda some: sa.and_(
        some.c.in_flight, some.c.started_at < asked_at(sa.bindparam("seconds", type_=sa.Float()))
    ),
)
