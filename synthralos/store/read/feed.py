"""The feed from the tables that hold it: in an order in which nothing appears before what was read already.

Rows of `event_logs` and `happenings` carry the number of the transaction that wrote them (`commit_no`). On PostgreSQL
transactions commit out of order, so readers take those below the oldest that is still open: what commits later has a
greater number. On SQLite there is one writer, and the number is a count. The ends of jobs are `trace_facts`, which
the leader numbers one transaction after another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import merge
from typing import Any

import sqlalchemy as sa

from synthralos.domain.feed import END, FIRST_ID, LAST_ID, Cursor, Item, Page, Place, end_id, type_of
from synthralos.domain.ids import trace_id_of
from synthralos.domain.observing import FINISHED
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import Id, id_text, utcnow
from synthralos.store.tables import digests, event_logs, happenings, jobs, results, trace_facts

MOST_ITEMS = 1_000
"""Rows of each source that one read looks at."""

LATE = timedelta(minutes=1)
"""A row may have got its time so long before it was committed."""

GONE = "unknown"
"""The classification of a job that was erased: nothing may be told of what nothing is known about."""

_OLDEST_OPEN = """
    SELECT coalesce(
        (SELECT min(open::text::bigint) FROM pg_snapshot_xip(seen) AS open
         WHERE (open::text::bigint & 4294967295) NOT IN (
            SELECT held.transactionid::text::bigint
            FROM pg_locks AS held JOIN pg_stat_activity AS holder ON holder.pid = held.pid
            WHERE held.locktype = 'transactionid' AND held.granted AND held.mode = 'ExclusiveLock'
                AND holder.datname <> current_database())),
        pg_snapshot_xmax(seen)::text::bigint)
    FROM (SELECT pg_current_snapshot() AS seen) AS snapshot
"""
"""The number of the oldest transaction that is open and may write here. Of those that a server has open, only what is
known to be in another database is left out: who cannot be placed, since it ended just now, counts as one of ours."""

_NEXT_OPEN = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

_OF_JOB = (jobs.c.workspace, jobs.c.user_id, jobs.c.run_id, jobs.c.id.is_(None).label("gone"))
_DEMANDS = jobs.c.constraints.label("handed_in"), results.c.constraints.label("at_last")


@dataclass(frozen=True, slots=True)
class Source:
    """One table of the feed. `name` is its member of a cursor, `number` its order, `when` the time of its rows."""

    name: str
    table: sa.Table
    number: sa.ColumnElement[int]
    id: sa.ColumnElement[str] | None
    when: sa.ColumnElement[datetime]
    query: "sa.Select[Any]"
    item: Callable[[Mapping[str, Any]], Item]

    def after(self, place: Place) -> list[sa.ColumnElement[bool]]:
        """The rows behind a place."""
        if self.id is None:
            return [self.number > place.number]
        given = sa.tuple_(sa.literal(place.number, sa.BigInteger()), sa.literal(place.id, Id))
        # The first condition alone finds the partial index.
        return [self.number >= place.number, sa.tuple_(self.number, self.id) > given]

    def until(self, place: Place) -> sa.ColumnElement[bool]:
        """The rows up to a place."""
        if self.id is None:
            return self.number <= place.number
        given = sa.tuple_(sa.literal(place.number, sa.BigInteger()), sa.literal(place.id, Id))
        return sa.tuple_(self.number, self.id) <= given

    def settled(self, oldest_open: int | None) -> list[sa.ColumnElement[bool]]:
        """The rows before which nothing can appear any more."""
        return [] if self.id is None or oldest_open is None else [self.number < oldest_open]

    def order(self, *, newest: bool = False) -> list[sa.ColumnElement[Any]]:
        """That of the feed, or the other way round."""
        columns: list[sa.ColumnElement[Any]] = [self.number] if self.id is None else [self.number, self.id]
        return [column.desc() for column in columns] if newest else columns


def _event(row: Mapping[str, Any]) -> Item:
    return _with_job(row, type_of(row["kind"]), row["actor"], row["data"])


def _happening(row: Mapping[str, Any]) -> Item:
    organization = row["organization"] or None
    return Item(
        row["id"], type_of(row["kind"]), row["at"], organization, row["actor"], row["data"], subject=row["subject"]
    )


def _end(row: Mapping[str, Any]) -> Item:
    data = {name: row[name] for name in ("state", "model", "lane", "deployment", "failure_class")}
    data |= {name: row[name] for name in ("seconds", "wait_seconds", "calls", "input_tokens", "output_tokens")}
    cost = {"usd": format(row["cost_picousd"], "f"), "known": row["cost_known"]}
    data |= {"cost": cost, "trace_id": row["trace_id"] or trace_id_of(row["job_id"])}
    item = _with_job(row, END + row["state"], "system", data)
    return replace(item, id=end_id(row["job_id"], row["at"]))


def _with_job(row: Mapping[str, Any], type_: str, actor: str, data: Mapping[str, Any]) -> Item:
    demands = row["at_last"] or row["handed_in"] or {}
    return Item(
        row["id"], type_, row["at"], row["organization"], actor, data, job_id=row["job_id"],
        workspace=row["workspace"], user=row["user_id"], run_id=row["run_id"],
        classification=GONE if row["gone"] else demands.get("classification"),
    )  # fmt: skip


def _of_job(table: sa.Table, *columns: sa.ColumnElement[Any]) -> "sa.Select[Any]":
    joined = table.outerjoin(jobs, jobs.c.id == table.c.job_id).outerjoin(results, results.c.job_id == table.c.job_id)
    return sa.select(*columns, *_OF_JOB, *_DEMANDS).select_from(joined)


_log, _told, _fact = event_logs.c, happenings.c, trace_facts.c
SOURCES = (
    Source(
        "events", event_logs, _log.commit_no, _log.id, _log.at,
        _of_job(event_logs, id_text(_log.id), _log.commit_no.label("number"), id_text(_log.job_id), _log.organization,
                _log.kind, _log.actor, _log.data, _log.at),
        _event,
    ),
    Source(
        "happenings", happenings, _told.commit_no, _told.id, _told.at,
        sa.select(id_text(_told.id), _told.commit_no.label("number"), _told.organization, _told.kind, _told.subject,
                  _told.actor, _told.data, _told.at),
        _happening,
    ),
    Source(
        "ends", trace_facts, _fact.seq, None, _fact.finished_at,
        _of_job(trace_facts, sa.literal(FIRST_ID).label("id"), _fact.seq.label("number"), id_text(_fact.job_id),
                _fact.organization, _fact.state, _fact.model, _fact.lane, _fact.deployment, _fact.failure_class,
                _fact.trace_id, _fact.seconds, _fact.wait_seconds, _fact.calls, _fact.input_tokens,
                _fact.output_tokens, _fact.cost_picousd, _fact.cost_known, _fact.finished_at.label("at")),
        _end,
    ),
)  # fmt: skip
"""Where the feed comes from."""


class Feed:
    """Reads on from a cursor. Each read looks at a bounded number of rows, whatever it finds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> Cursor:
        """The place behind everything that can be read now."""
        with self._database.snapshot() as connection:
            cursor = Cursor(connection.execute(sa.select(utcnow())).scalar_one())
            # Statements that follow see all that the transactions before the oldest open one have written.
            oldest_open = self._oldest_open(connection)
            for source in SOURCES:
                cursor = _moved(cursor, source, self._last(connection, source, oldest_open))
            return cursor

    def since(
        self, cursor: Cursor, *, organization: str | None = None, until: Cursor | None = None, limit: int = MOST_ITEMS
    ) -> Page:
        """What follows, `limit` of each source at most, in the order of time as far as that is known.

        `organization`: what concerns that one alone. `until`: nothing behind that place, which `head` gave; None: up
        to what can be read now. Where there is no more, the page's cursor is that place itself, or a later one that was
        read before: what can be read may go back for a moment, and readers do not.
        """
        end = self.head() if until is None else until
        with self._database.snapshot() as connection:
            end = self._not_before(connection, cursor, end)
            read = [self._rows(connection, source, cursor, organization, end, limit) for source in SOURCES]
        more = any(len(rows) == limit for rows in read)
        items, reached = _merged(cursor, read, limit)
        if len(items) == sum(map(len, read)) and not more:
            return Page(items, end, more=False)
        return Page(items, reached, more=True)

    def at(self, moment: datetime) -> Cursor:
        """A place behind which all is that happened from that moment on, and a little from before."""
        cursor = Cursor(moment)
        with self._database.snapshot() as connection:
            for source in SOURCES:
                number = self._number_at(connection, source, moment - LATE)
                cursor = _moved(cursor, source, Place(max(0, number - 1), LAST_ID))
        return cursor

    def _oldest_open(self, connection: sa.Connection) -> int | None:
        if self._database.dialect == "sqlite":
            return None
        oldest: int = connection.exec_driver_sql(_OLDEST_OPEN.replace("%", "%%")).scalar_one()
        return oldest

    def _not_before(self, connection: sa.Connection, cursor: Cursor, end: Cursor) -> Cursor:
        """The end, but nowhere before the cursor, except where that is from another database than this."""
        for source in SOURCES:
            place: Place = getattr(cursor, source.name)
            if place > getattr(end, source.name) and place.number <= self._greatest(connection, source):
                end = _moved(end, source, place)
        return end

    def _greatest(self, connection: sa.Connection, source: Source) -> int:
        """A number that no row of this database exceeds."""
        if source.id is not None and self._database.dialect == "postgresql":
            greatest: int = connection.exec_driver_sql(_NEXT_OPEN).scalar_one()
            return greatest
        name = "commits" if source.id is not None else FINISHED
        given: int | None = connection.execute(sa.select(digests.c.seq).where(digests.c.name == name)).scalar()
        return given or 0

    def _last(self, connection: sa.Connection, source: Source, oldest_open: int | None = None) -> Place:
        key = source.id if source.id is not None else sa.literal(FIRST_ID)
        query = sa.select(source.number.label("number"), sa.cast(key, sa.Text).label("id")).where(
            source.number >= 0, *source.settled(oldest_open)
        )
        row = connection.execute(query.order_by(*source.order(newest=True)).limit(1)).one_or_none()
        return Place() if row is None else Place(row.number, row.id)

    def _rows(
        self,
        connection: sa.Connection,
        source: Source,
        cursor: Cursor,
        organization: str | None,
        until: Cursor,
        limit: int,
    ) -> Sequence[tuple[Source, Place, Item]]:
        place: Place = getattr(cursor, source.name)
        end: Place = getattr(until, source.name)
        if place >= end:
            return []
        query = source.query.where(*source.after(place), source.until(end))
        if organization is not None:
            query = query.where(source.table.c.organization == organization)
        rows = connection.execute(query.order_by(*source.order()).limit(limit)).mappings()
        return [(source, Place(row["number"], row["id"]), source.item(dict(row))) for row in rows]

    def _number_at(self, connection: sa.Connection, source: Source, moment: datetime) -> int:
        """The least number whose row is not from before that moment: found by halves, since both grow together."""
        low, high = 0, self._last(connection, source).number + 1
        while low < high:
            middle = (low + high) // 2
            query = sa.select(source.number.label("number"), source.when.label("at")).where(source.number >= middle)
            row = connection.execute(query.order_by(*source.order()).limit(1)).one_or_none()
            if row is None or row.at >= moment:
                high = middle
            else:
                low = row.number + 1
        return low


def _moved(cursor: Cursor, source: Source, place: Place) -> Cursor:
    changed: dict[str, Any] = {source.name: place}
    return cursor._replace(**changed)


def _merged(
    cursor: Cursor, read: Sequence[Sequence[tuple[Source, Place, Item]]], limit: int
) -> tuple[list[Item], Cursor]:
    """The sources' rows by time, each source in its own order, each item with the cursor behind it."""
    items: list[Item] = []
    for source, place, item in merge(*read, key=lambda each: each[2].at):
        if len(items) == limit:
            break
        cursor = _moved(cursor, source, place)._replace(at=max(cursor.at, item.at))
        items.append(replace(item, cursor=cursor))
    return items, cursor
