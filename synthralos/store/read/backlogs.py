"""How much waits where: figures for metrics, that cost the same whether a thousand jobs wait or a million.

Nothing is counted beyond `MOST`, and every look is at the head of an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import UtcTime, utcnow, word
from synthralos.store.tables import export_backlog, open_jobs

MOST = 2_000
"""Rows of one kind that are counted; a figure as large as this means that there are so many or more."""

_HEAD = 100
"""Jobs at the head of a queue whose waiting time is looked at: what is rung again goes to the end of the index."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """So many of them (`MOST`: or more), of which the oldest has waited for so many seconds."""

    count: int
    oldest: float


class Backlogs:
    """Reads them."""

    def __init__(self, database: Database, ring_again_after: float, most: int = MOST) -> None:
        """`ring_again_after`: seconds that a queued job waits at least between two rings."""
        self._most = {"most": most}
        self._database = database
        self._ring_again_after = ring_again_after

    def queues(self) -> Mapping[tuple[Stage, Lane], Backlog]:
        """The queued jobs of every stage and lane. A job that was rung again has waited since long before that."""
        oldest: dict[tuple[Stage, Lane], float] = {}
        with self._database.snapshot() as connection:
            counts = connection.execute(_COUNTS, self._most).all()
            for row in connection.execute(_HEADS):
                seconds = (row.now - row.since).total_seconds() + row.rings * self._ring_again_after
                queue = Stage(row.stage), Lane(row.lane)
                oldest[queue] = max(oldest.get(queue, 0.0), seconds)
        queues = {(Stage(row.stage), Lane(row.lane)): row.number for row in counts}
        return {queue: Backlog(count, oldest.get(queue, 0.0)) for queue, count in queues.items()}

    def parked(self) -> int:
        """The parked jobs."""
        with self._database.snapshot() as connection:
            return int(connection.execute(_PARKED, self._most).scalar_one())

    def exports(self) -> Mapping[str, Backlog]:
        """What each destination has not accepted yet; a destination that is owed nothing is left out."""
        with self._database.snapshot() as connection:
            names = connection.execute(_DESTINATIONS).scalars().all()
            found = {}
            for name in names:
                row = connection.execute(_EXPORTS, {**self._most, "destination": name}).one()
                if row.number:
                    found[name] = Backlog(row.number, max(0.0, (row.now - row.since).total_seconds()))
            return found


def _queued(stage: Stage, lane: Lane) -> tuple[sa.ColumnElement[bool], ...]:
    table = open_jobs.c
    return table.state == word(State.QUEUED), table.stage == word(stage), table.lane == word(lane)


def _capped(*conditions: sa.ColumnElement[bool]) -> Any:
    """How many rows there are, counted up to `most`."""
    rows = sa.select(sa.literal(1)).where(*conditions).limit(sa.bindparam("most", type_=sa.Integer())).subquery()
    return sa.select(sa.func.count()).select_from(rows).scalar_subquery()


def _counts() -> Any:
    queues = [
        sa.select(word(stage).label("stage"), word(lane).label("lane"), _capped(*_queued(stage, lane)).label("number"))
        for stage in Stage
        for lane in Lane
    ]
    return sa.union_all(*queues)


def _heads() -> Any:
    """Of the first jobs of each queue, by how often they were rung again, since when the first was not."""
    queues = []
    for stage in Stage:
        for lane in Lane:
            first = sa.select(open_jobs.c.rings, open_jobs.c.notified_at).where(*_queued(stage, lane))
            head = first.order_by(open_jobs.c.notified_at).limit(_HEAD).subquery()
            since = sa.func.min(head.c.notified_at, type_=UtcTime()).label("since")
            labels = word(stage).label("stage"), word(lane).label("lane"), utcnow().label("now")
            queues.append(sa.select(*labels, head.c.rings, since).group_by(head.c.rings))
    return sa.union_all(*queues)


def _destinations() -> Any:
    """The destinations that are owed anything: the first name, then again and again the next one."""
    names = sa.select(export_backlog.c.destination).order_by(export_backlog.c.destination).limit(1)
    first = sa.select(names.scalar_subquery().label("name")).cte("destinations", recursive=True)
    following = names.where(export_backlog.c.destination > first.c.name).correlate(first).scalar_subquery()
    found = first.union_all(sa.select(following).where(first.c.name.is_not(None)))
    return sa.select(found.c.name).where(found.c.name.is_not(None))


def _exports() -> Any:
    owed = export_backlog.c.destination == sa.bindparam("destination", type_=sa.Text())
    oldest = sa.select(export_backlog.c.since).where(owed).order_by(export_backlog.c.job_id).limit(1)
    return sa.select(_capped(owed).label("number"), oldest.scalar_subquery().label("since"), utcnow().label("now"))


_COUNTS, _HEADS, _DESTINATIONS, _EXPORTS = _counts(), _heads(), _destinations(), _exports()
_PARKED = sa.select(_capped(open_jobs.c.run_at.is_not(None), open_jobs.c.state == word(State.PARKED)))
