"""Retention of what belongs to organizations: stretch by stretch of time, each a small transaction that moves a place.

Whoever is killed in between has done all of a stretch or nothing of it. What something still holds when its time is
over (a trace that an exporter is owed, or that is not closed) is noted, and looked at again until nothing holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.ids import id_at
from synthralos.domain.retention import Kind, Retention
from synthralos.store.retention.marks import Group, back_to, groups, prepare, reach
from synthralos.store.retention.removal import (
    Gathered,
    destinations,
    gather,
    going,
    remove_books,
    remove_jobs,
    remove_texts,
)
from synthralos.store.retention.sources import SOURCES, Source, moment_of
from synthralos.store.sql.database import Database, let_plan_once
from synthralos.store.sql.recordset import insert_ignoring
from synthralos.store.sql.types import asked_at, utcnow, word
from synthralos.store.tables import export_backlog, jobs, results, retention_left

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=32)
"""The time that one look goes over: as long as it has about as many rows in it as one step may take."""


class Step(NamedTuple):
    """What one transaction removed, whether there may be more at once, and by how many seconds it is behind."""

    removed: int
    more: bool
    lag: float = 0.0


@dataclass
class Passes:
    """One step at a time. Safe to repeat, and for any number of leaders at once: a kind's places are locked."""

    database: Database
    _stretch: dict[Kind, timedelta] = field(default_factory=dict)

    def step(self, kind: Kind, times: Retention, most: int) -> Step:
        """Remove what is due next of a kind, about `most` rows of it."""
        source = SOURCES[kind]
        with self.database.snapshot() as connection:
            latest, bounded = self._latest(connection, source)
            if bounded and latest is None:
                return Step(0, False)
            due = groups(connection, kind, times, latest)
            left = source.jobs and self._any_left(connection, kind)
            empty = not due or all(self._is_empty(connection, source, group) for group in due)
        lag = max((group.lag for group in due), default=0.0)
        if not left and empty and lag < _SAID_EVERY:
            return Step(0, False, 0.0)
        with self.database.transaction() as connection:
            let_plan_once(connection)
            prepare(connection, kind, times, latest)
            removed = self._left(connection, kind, times, most) if left else 0
            due = groups(connection, kind, times, latest)
            if not due or removed >= most:
                return Step(removed, removed >= most, lag)
            first, *others = sorted(due, key=_most_behind)
            count, reached = self._take(connection, source, first, times, most)
        behind = reached < first.until or any(group.since is None or group.lag > _BEHIND for group in others)
        return Step(removed + count, behind, lag if behind else 0.0)

    def due(self, kind: Kind, times: Retention) -> int:
        """How many rows would be removed now; of jobs, whole jobs are counted."""
        source = SOURCES[kind]
        with self.database.report() as connection:
            latest, bounded = self._latest(connection, source)
            if bounded and latest is None:
                return 0
            total = 0
            for group in groups(connection, kind, times, latest):
                free = self._free(connection, source, times) if source.jobs else []
                chosen = self._chosen(source, group, group.since, group.until).where(*free)
                total += connection.execute(sa.select(sa.func.count()).select_from(chosen.subquery())).scalar_one()
            if source.jobs:
                freed = self._freed(connection, kind, times).subquery()
                total += connection.execute(sa.select(sa.func.count()).select_from(freed)).scalar_one()
        return total

    def _take(
        self, connection: sa.Connection, source: Source, group: Group, times: Retention, most: int
    ) -> tuple[int, datetime]:
        """Remove what comes next of a group; how much that was, and how far it has come."""
        since = group.since or self._oldest(connection, source)
        if since is None:
            reach(connection, group, group.until)
            return 0, group.until
        until = self._until(connection, source, group, since, most)
        if not source.jobs and group.kind is not Kind.ACCOUNTS:
            held = source.within(since, until) + group.holds(source.organization)
            count = connection.execute(sa.delete(source.table).where(*held)).rowcount
        else:
            count = self._take_jobs(connection, source, group, since, until, times)
            if source.jobs:
                self._stretch[group.kind] = min(_LONGEST, self._stretch[group.kind] * _wider(count, most))
            if not count and self._is_empty(connection, source, group._replace(since=until)):
                until = max(until, group.until)
        reach(connection, group, until)
        return count, until

    def _take_jobs(
        self,
        connection: sa.Connection,
        source: Source,
        group: Group,
        since: datetime,
        until: datetime,
        times: Retention,
    ) -> int:
        chosen = self._chosen(source, group, since, until)
        if source.jobs:
            free = self._free(connection, source, times)
            held = chosen.with_only_columns(
                results.c.job_id, word(group.kind), results.c.finished_at, maintain_column_froms=True
            ).where(~sa.and_(*free))
            columns = ["job_id", "kind", "finished_at"]
            connection.execute(insert_ignoring(self.database.dialect, retention_left, columns, held))
            chosen = chosen.where(*free).order_by(results.c.job_id).with_for_update(of=results)
        gone = gather(connection, chosen)
        if gone.total:
            self._act(connection, gone, group.kind, times, group.names if group.alone else (None,))
        return gone.total

    @staticmethod
    def _act(
        connection: sa.Connection, gone: Gathered, kind: Kind, times: Retention, names: Sequence[str | None]
    ) -> None:
        """Do to those that are going what the kind says.

        `names`: whose they may be, None for any without own times. The longest of their times keeps the books; what
        is due sooner goes with the accounts.
        """
        if kind is Kind.PAYLOADS:
            remove_texts(connection, gone)
        elif kind is Kind.ACCOUNTS:
            remove_books(connection, gone)
        else:
            ages = [times.age(Kind.ACCOUNTS, name) for name in names]
            now = connection.execute(sa.select(utcnow())).scalar_one()
            oldest = connection.execute(sa.select(going.c.job_id).order_by(going.c.job_id).limit(1)).scalar_one()
            books_from = max(now - max(ages), moment_of(oldest))
            remove_jobs(connection, gone, id_at(books_from))
            back_to(connection, Kind.ACCOUNTS, books_from)

    def _until(self, connection: sa.Connection, source: Source, group: Group, since: datetime, most: int) -> datetime:
        """The end of the next stretch: with at most `most` rows in it, save where more have the very same time."""
        stretch = self._stretch.get(group.kind, timedelta(minutes=1))
        end = min(group.until, since + stretch) if source.jobs else group.until
        ends = self._rows(source, group, sa.select(source.key), since, end).order_by(source.key)
        rows = connection.execute(ends.limit(1).offset(most)).scalars().all()
        if source.jobs:
            self._stretch[group.kind] = max(_SHORTEST, stretch / 2) if rows else stretch
        if not rows:
            return end
        until = source.moment(rows[0])
        return until if until > since else until + timedelta(milliseconds=1)

    def _chosen(self, source: Source, group: Group, since: datetime | None, until: datetime) -> "sa.Select[Any]":
        """The ids, or keys, of what is due of a group within a time."""
        return self._rows(source, group, sa.select(results.c.job_id if source.jobs else source.key), since, until)

    def _rows(
        self, source: Source, group: Group, query: "sa.Select[Any]", since: datetime | None, until: datetime
    ) -> "sa.Select[Any]":
        if source.jobs and not group.everybody:
            query = query.join_from(results, jobs, jobs.c.id == results.c.job_id)
        return query.where(*source.within(since, until), *group.holds(source.organization))

    def _free(self, connection: sa.Connection, source: Source, times: Retention) -> list[sa.ColumnElement[bool]]:
        """That nothing holds a job: its trace is closed, and no exporter is owed it, or for too long."""
        late = asked_at(sa.literal(-times.age(Kind.EXPORTS).total_seconds()))
        owed = [
            ~sa.exists().where(
                export_backlog.c.destination == name,
                export_backlog.c.job_id == results.c.job_id,
                export_backlog.c.since > late,
            )
            for name in destinations(connection)
        ]
        return [results.c.analyzed_at.is_not(None), *owed]

    def _freed(self, connection: sa.Connection, kind: Kind, times: Retention) -> "sa.Select[Any]":
        """What was left, and nothing holds any more."""
        same = sa.and_(
            results.c.job_id == retention_left.c.job_id, results.c.finished_at == retention_left.c.finished_at
        )
        query = sa.select(results.c.job_id).join_from(retention_left, results, same)
        return query.where(retention_left.c.kind == word(kind), *self._free(connection, SOURCES[kind], times))

    def _left(self, connection: sa.Connection, kind: Kind, times: Retention, most: int) -> int:
        freed = self._freed(connection, kind, times).order_by(results.c.job_id).limit(most)
        gone = gather(connection, freed.with_for_update(of=results))
        if gone.total:
            self._act(connection, gone, kind, times, (None, *times.own))
        mine = retention_left.c.kind == word(kind)
        ended = results.c.job_id == retention_left.c.job_id, results.c.finished_at == retention_left.c.finished_at
        again = mine, ~sa.exists().where(*ended)
        connection.execute(sa.delete(retention_left).where(*again))
        done = mine, retention_left.c.job_id.in_(sa.select(going.c.job_id))
        connection.execute(sa.delete(retention_left).where(*done))
        return gone.total

    @staticmethod
    def _any_left(connection: sa.Connection, kind: Kind) -> bool:
        query = sa.select(sa.literal(1)).select_from(retention_left).where(retention_left.c.kind == word(kind)).limit(1)
        return connection.execute(query).first() is not None

    @staticmethod
    def _latest(connection: sa.Connection, source: Source) -> tuple[datetime | None, bool]:
        return (None, False) if source.latest is None else (source.latest(connection), True)

    def _is_empty(self, connection: sa.Connection, source: Source, group: Group) -> bool:
        query = self._rows(source, group, sa.select(sa.literal(1)), group.since, group.until)
        query = query if source.jobs and not group.everybody else query.select_from(source.table)
        return connection.execute(query.limit(1)).first() is None

    @staticmethod
    def _oldest(connection: sa.Connection, source: Source) -> datetime | None:
        """No later than the oldest row of a source. Ends of jobs have no index that begins with the oldest."""
        key = jobs.c.created_at if source.jobs else source.key
        order = jobs.c.id if source.jobs else source.key
        found = connection.execute(sa.select(key).order_by(order).limit(1)).scalar()
        if found is None:
            return None
        return found - timedelta(minutes=10) if source.jobs else source.moment(found)


_BEHIND = 5.0
"""Seconds that a group may lag before the next step is about it at once."""

_SAID_EVERY = 3_600.0
"""Seconds by which a place stays behind where there is nothing: so an idle installation writes little."""


def _wider(count: int, most: int) -> int:
    """How much longer the next look may be, where this one found so few: looks cost more than rows do."""
    return max(1, min(8, most // count)) if count else 8


def _most_behind(group: Group) -> tuple[bool, float]:
    return group.since is not None, -group.lag
