"""The exporters' backlog, as those who ship work through it: claimed, booked, set aside, left alone for a while."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from synthralos.domain.backoff import Backoff
from synthralos.domain.exports import Aside, Booking, Destination, Owed, Rest
from synthralos.domain.happenings import ExportResumed, ExportStopped, Happening
from synthralos.store.admin.changing import upsert
from synthralos.store.queue.happenings import tell
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, insert_updating, recordset
from synthralos.store.sql.types import Id, UtcTime, asked_at, encode_time, utc_in, utcnow
from synthralos.store.tables import export_backlog, export_destinations, export_set_aside

LEASE = 300.0
"""Seconds that a shipment may take: longer than any destination's own time-outs."""

PAUSES = Backoff(base=5.0, cap=600.0)
"""Until a refused trace is shipped again, and a destination that does not answer is tried again."""

LONGEST_REASON = 500
"""Characters of a reason that are kept."""

_owed, _known = export_backlog.c, export_destinations.c


class Backlog:
    """What destinations have not accepted yet. Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._off, self._aside = _off(database.dialect), _put_aside(database.dialect)

    def serve(self, destination: Destination) -> None:
        """Somebody begins to ship there."""
        first = {"name": destination.name, "residency": destination.residency, "seen_at": utcnow()}
        with self._database.transaction() as connection:
            again = {"residency": destination.residency, "seen_at": utcnow()}
            connection.execute(upsert(connection, export_destinations, first, again))

    def link(self, destination: str, link: str) -> None:
        """Where its pages of traces are; `{trace_id}` stands for one's id."""
        with self._database.transaction() as connection:
            connection.execute(sa.update(export_destinations).where(_known.name == destination).values(link=link))

    def rests(self, destination: str) -> float:
        """For how many more seconds the destination is left alone; 0: it is not."""
        query = sa.select(_known.rest_until, utcnow().label("now")).where(_known.name == destination)
        with self._database.snapshot() as connection:
            row = connection.execute(query).first()
        if row is None or row.rest_until is None:
            return 0.0
        return max(0.0, float((row.rest_until - row.now).total_seconds()))

    def claim(self, destination: str, limit: int = 20) -> list[Owed]:
        """Traces that the destination has not accepted yet, oldest first, for this caller alone.

        Nobody else gets them for `LEASE` seconds; a process that dies with them gives them back so.
        """
        mine = _owed.destination == destination
        due = sa.or_(_owed.next_at.is_(None), _owed.next_at <= asked_at(sa.literal(0)))
        first = sa.select(_owed.job_id).where(mine, due).order_by(_owed.job_id).limit(limit)
        taken = first.with_for_update(skip_locked=True)
        statement = sa.update(export_backlog).where(mine, _owed.job_id.in_(taken))
        values = {"tries": _owed.tries + 1, "claim_no": _owed.claim_no + 1, "next_at": utc_in(sa.literal(LEASE))}
        statement = statement.values(values)
        with self._database.transaction() as connection:
            rows = connection.execute(statement.returning(_owed.job_id, _owed.tries, _owed.claim_no, _owed.since)).all()
        return sorted(Owed(*row) for row in rows)

    def due_in(self, destination: str) -> float | None:
        """Seconds until something that is put off, or with somebody who died of it, comes due; None: there is none."""
        query = sa.select(sa.func.min(_owed.next_at, type_=_owed.next_at.type).label("first"), utcnow().label("now"))
        with self._database.snapshot() as connection:
            row = connection.execute(query.where(_owed.destination == destination)).one()
        return None if row.first is None else max(0.0, float((row.first - row.now).total_seconds()))

    def book(self, destination: str, booking: Booking) -> None:
        """What became of a shipment. What has changed since it was claimed is owed still, and comes at once."""
        with self._database.transaction() as connection:
            self._take_off(connection, destination, booking)
            for tries, group in groupby(sorted(booking.again, key=_tries), key=_tries):
                _comes(connection, destination, list(group), utc_in(sa.literal(pause_after(tries))))
            _comes(connection, destination, booking.left, sa.null())
            _count(connection, destination, booking)

    def _take_off(self, connection: sa.Connection, destination: str, booking: Booking) -> None:
        over = [*booking.done, *(aside.owed for aside in booking.aside)]
        if not over:
            return
        rows = encode_rows({"id": owed.job_id, "claim_no": owed.claim_no} for owed in over)
        gone = {row.job_id: row.since for row in connection.execute(self._off, {"rows": rows, "of": destination})}
        if len(gone) < len(over):
            changed = [owed for owed in over if owed.job_id not in gone]
            _comes(connection, destination, changed, sa.null(), _owed.tries == 0)
        aside = [
            _aside_row(destination, each, gone[each.owed.job_id]) for each in booking.aside if each.owed.job_id in gone
        ]
        if aside:
            connection.execute(self._aside, {"rows": encode_rows(aside)})
        _forget_aside(connection, destination, [owed.job_id for owed in booking.done])


def pause_after(tries: int) -> float:
    """Seconds until a trace that was refused so often is shipped again."""
    return PAUSES.ceiling(tries - 1)


def _tries(owed: Owed) -> int:
    return owed.tries


def _comes(
    connection: sa.Connection, destination: str, owed: Sequence[Owed], when: Any, *further: sa.ColumnElement[bool]
) -> None:
    """They come again then."""
    if owed:
        ids = [each.job_id for each in owed]
        which = sa.update(export_backlog).where(_owed.destination == destination, _owed.job_id.in_(ids), *further)
        connection.execute(which.values(next_at=when))


def _aside_row(destination: str, aside: Aside, since: datetime) -> dict[str, Any]:
    return {
        "destination": destination,
        "job_id": aside.owed.job_id,
        "kind": str(aside.kind),
        "reason": aside.reason[:LONGEST_REASON],
        "tries": aside.owed.tries,
        "since": encode_time(since),
    }


def _forget_aside(connection: sa.Connection, destination: str, job_ids: Sequence[str]) -> None:
    """What has arrived is not set aside any more."""
    if job_ids:
        table = export_set_aside.c
        which = sa.delete(export_set_aside).where(table.destination == destination, table.job_id.in_(job_ids))
        connection.execute(which)


def _count(connection: sa.Connection, destination: str, booking: Booking) -> None:
    """The destination's counts, its rest, and what it said; who stops or goes on again is told of."""
    mine = _known.name == destination
    query = sa.select(_known.stopped, _known.rest_until, utcnow().label("now")).where(mine).with_for_update()
    before = connection.execute(query).first()
    if before is None:
        return
    values: dict[str, Any] = {
        "sent": _known.sent + booking.sent,
        "failed": _known.failed + len(booking.again) + len(booking.aside),
    }
    if booking.sent:
        values |= {"last_sent_at": utcnow()}
    if booking.error is not None:
        values |= {"last_error": booking.error[:LONGEST_REASON], "last_error_at": utcnow()}
    values |= _rest_values(before, booking.rest, arrived=booking.sent > 0)
    connection.execute(sa.update(export_destinations).where(mine).values(values))
    stopped = values.get("stopped", before.stopped)
    if stopped != before.stopped:
        reason = (booking.error or "")[:LONGEST_REASON]
        told = (
            ExportStopped(destination=destination, reason=reason) if stopped else ExportResumed(destination=destination)
        )
        tell(connection, [Happening.of(told, destination, "worker")])


def _rest_values(before: Any, rest: Rest | None, *, arrived: bool) -> dict[str, Any]:
    """A rest is never cut short by a shorter one; what arrives ends it."""
    if rest is None:
        return {"rest_until": None, "stopped": False} if arrived else {}
    left = 0.0 if before.rest_until is None else (before.rest_until - before.now).total_seconds()
    until = {"rest_until": utc_in(sa.literal(rest.seconds))} if rest.seconds > left else {}
    return {**until, "stopped": rest.stopped}


def _off(dialect: str) -> Any:
    """Take the traces of `rows` off the backlog, as they were claimed."""
    rows = recordset(dialect, "rows", {"id": Id, "claim_no": sa.Integer()})
    claimed = sa.select(rows.c.id, rows.c.claim_no)
    mine = _owed.destination == sa.bindparam("of", type_=sa.Text())
    statement = sa.delete(export_backlog).where(mine, sa.tuple_(_owed.job_id, _owed.claim_no).in_(claimed))
    return statement.returning(_owed.job_id, _owed.since)


def _put_aside(dialect: str) -> Any:
    """Set the traces of `rows` aside."""
    columns = {
        "destination": sa.Text(), "job_id": Id, "kind": sa.Text(), "reason": sa.Text(), "tries": sa.Integer(),
        "since": UtcTime(),
    }  # fmt: skip
    rows = recordset(dialect, "rows", columns)
    select = sa.select(*(rows.c[name] for name in columns), utcnow())
    again: dict[str, Any] = {name: sa.literal_column(f"excluded.{name}") for name in ("kind", "reason", "tries", "at")}
    return insert_updating(dialect, export_set_aside, [*columns, "at"], select, again)
