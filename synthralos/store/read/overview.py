"""What is open now, by state, stage and lane: read from indexes, bounded, whatever the number of jobs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import id_text, utcnow, word
from synthralos.store.tables import jobs, leaders, open_jobs

COUNTED = 10_000
"""Jobs of one state, stage and lane that are counted; what is more is "more than 10,000"."""


@dataclass(frozen=True, slots=True)
class OpenCount:
    """How many jobs are at a stage; `more`: there are more than were counted."""

    state: str
    stage: str
    lane: str
    jobs: int
    more: bool


@dataclass(frozen=True, slots=True)
class OldestJob:
    """The open job that was submitted first; `age` in seconds."""

    id: str
    state: str
    stage: str
    run_at: datetime | None
    age: float


@dataclass(frozen=True, slots=True)
class Overview:
    """What is open, and who leads (the id of a scheduler process, or None)."""

    counts: list[OpenCount]
    oldest: OldestJob | None
    leader: str | None


def read_overview(database: Database) -> Overview:
    """The overview as of now; three short statements."""
    with database.snapshot() as connection:
        counts = [OpenCount(r.state, r.stage, r.lane, min(r.jobs, COUNTED), r.jobs > COUNTED)
                  for r in connection.execute(_COUNTS) if r.jobs]  # fmt: skip
        oldest = connection.execute(_OLDEST).first()
        leader = connection.execute(_LEADER).scalar()
    if oldest is None:
        return Overview(counts, None, leader)
    age = (oldest.now - oldest.created_at).total_seconds()
    return Overview(counts, OldestJob(oldest.id, oldest.state, oldest.stage, oldest.run_at, age), leader)


def _queue(stage: Stage, lane: Lane) -> Any:
    """A queue's jobs, from the index of queued ones."""
    query = sa.select(sa.literal(1)).select_from(open_jobs)
    return query.where(
        open_jobs.c.state == word(State.QUEUED),
        open_jobs.c.stage == word(stage),
        open_jobs.c.lane == word(lane),
    ).order_by(open_jobs.c.notified_at)


def _counted_queue(stage: Stage, lane: Lane) -> Any:
    some = _queue(stage, lane).limit(COUNTED + 1).subquery()
    names = (word(State.QUEUED).label("state"), word(stage).label("stage"), word(lane).label("lane"))
    return sa.select(*names, sa.func.count().label("jobs")).select_from(some)


def _counted(state: State, order: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]) -> Any:
    """The jobs of a state by stage and lane, the first of an index that holds that state alone."""
    query = sa.select(open_jobs.c.stage, open_jobs.c.lane).where(open_jobs.c.state == word(state), *conditions)
    some = query.order_by(order).limit(COUNTED + 1).subquery()
    grouped = sa.select(word(state).label("state"), some.c.stage, some.c.lane, sa.func.count().label("jobs"))
    return grouped.group_by(some.c.stage, some.c.lane)


_COUNTS = sa.union_all(
    *(_counted_queue(stage, lane) for stage in Stage for lane in Lane),
    _counted(State.ACTIVE, open_jobs.c.worker_id),
    _counted(State.PARKED, open_jobs.c.run_at, open_jobs.c.run_at.is_not(None)),
)

# Ids are in the order of time: the first row of the primary key is the oldest.
_first = (
    sa.select(open_jobs.c.id, open_jobs.c.state, open_jobs.c.stage, open_jobs.c.run_at)
    .order_by(open_jobs.c.id)
    .limit(1)
    .subquery()
)
_OLDEST = sa.select(
    id_text(_first.c.id), _first.c.state, _first.c.stage, _first.c.run_at, jobs.c.created_at, utcnow().label("now")
).join(jobs, jobs.c.id == _first.c.id)

_LEADER = sa.select(leaders.c.holder).where(leaders.c.until > utcnow()).limit(1)
