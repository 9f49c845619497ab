"""The sums of the ledger by hour and by day: written by the leader once an hour is over, and again if it changes.

A call that was written off as lost and whose end is learned later moves to another hour: both are told (`unsum`), in
the transaction that corrects the ledger. Until an hour is summed (again), the ledger itself answers for it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from synthralos.store.admin.changing import upsert
from synthralos.store.read import cost_parts
from synthralos.store.read.cost_parts import AMOUNTS, SUMMED
from synthralos.store.sql.database import Database, let_plan
from synthralos.store.sql.page_bounds import bound_pages
from synthralos.store.sql.types import utcnow, word
from synthralos.store.tables import COUNTS, cost_periods, cost_sums, jobs

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

SETTLED_AFTER = timedelta(minutes=5)
"""After an hour's end nothing can be written into it any more: every statement has a deadline far below this."""

_COLUMNS = ("span", "since", *SUMMED, *COUNTS, *AMOUNTS)


class CostSums:
    """Sums up what is due. Safe to repeat, and for any number of leaders at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def round(self, most: int = 24) -> int:
        """Sum up to `most` periods, the oldest hours first; fewer, and all is summed."""
        bound_pages(self._database, "attempts_by_ended_at", "results_by_finished_at")
        with self._database.snapshot() as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
            changed = _changed(connection, now, most)
            following = _following(connection, now, most)
        hours = sorted({since for span, since in changed if span == "hour"} | set(following))[:most]
        for hour in hours:
            self.sum("hour", hour)
        days = {since for span, since in changed if span == "day"} | {_midnight(hour) for hour in hours}
        for day in sorted(days):
            self._sum_day(day)
        return len(hours)

    def sum(self, span: str, since: datetime) -> None:
        """Write the sums of a period anew: an hour's from the ledger, a day's from its hours."""
        with self._database.transaction() as connection:
            if self._database.dialect == "postgresql":
                let_plan(connection)
            # First, so that whoever corrects the ledger now waits, and marks the period afterwards.
            connection.execute(_mark(connection, span, since, summed=True))
            old = cost_sums.c.span == word(span), cost_sums.c.since == since
            connection.execute(sa.delete(cost_sums).where(*old))
            parts = _of_day(since) if span == "day" else _of_hour(since)
            for part in parts:
                connection.execute(sa.insert(cost_sums).from_select(_COLUMNS, _summed(part, span, since)))

    def _sum_day(self, day: datetime) -> None:
        hours = sa.select(sa.func.count()).where(
            cost_periods.c.span == word("hour"), cost_periods.c.summed,
            cost_periods.c.since >= day, cost_periods.c.since < day + DAY,
        )  # fmt: skip
        with self._database.snapshot() as connection:
            whole = connection.execute(hours).scalar_one() == 24
        if whole:
            self.sum("day", day)


def unsum(connection: sa.Connection, moments: Iterable[datetime]) -> None:
    """What ended at these moments has changed: their hours and days are summed again, in this transaction's wake."""
    periods = {("hour", _hour(moment)) for moment in moments} | {("day", _midnight(moment)) for moment in moments}
    for span, since in sorted(periods):
        connection.execute(_mark(connection, span, since, summed=False))


def _mark(connection: sa.Connection, span: str, since: datetime, *, summed: bool) -> Any:
    values = {"span": span, "since": since, "summed": summed}
    return upsert(connection, cost_periods, values, {"summed": summed})


def _changed(connection: sa.Connection, now: datetime, most: int) -> list[tuple[str, datetime]]:
    due = sa.select(cost_periods.c.span, cost_periods.c.since).where(
        ~cost_periods.c.summed, cost_periods.c.since <= now - HOUR - SETTLED_AFTER
    )
    rows = connection.execute(due.order_by(cost_periods.c.since).limit(2 * most)).all()
    return [(row.span, row.since) for row in rows]


def _following(connection: sa.Connection, now: datetime, most: int) -> list[datetime]:
    """The hours after the last one that was summed, or after the first job, that are over."""
    last = sa.select(sa.func.max(cost_periods.c.since)).where(
        cost_periods.c.span == word("hour"), cost_periods.c.summed
    )
    hour = connection.execute(last).scalar()
    if hour is None:
        first = connection.execute(sa.select(jobs.c.created_at).order_by(jobs.c.id).limit(1)).scalar()
        hour = None if first is None else _hour(first) - HOUR
    found: list[datetime] = []
    while hour is not None and len(found) < most and hour + 2 * HOUR + SETTLED_AFTER <= now:
        hour += HOUR
        found.append(hour)
    return found


def _of_hour(since: datetime) -> list[Any]:
    parts = []
    for part in cost_parts.ledger():
        at = part.selected_columns.at.element
        parts.append(part.where(at >= since, at < since + HOUR))
    return parts


def _of_day(since: datetime) -> list[Any]:
    part = cost_parts.sums("hour")
    at = part.selected_columns.at.element
    return [part.where(at >= since, at < since + DAY)]


def _summed(part: Any, span: str, since: datetime) -> Any:
    rows = part.subquery()
    named = [rows.c[name] for name in SUMMED]
    totals = [sa.func.sum(rows.c[name]) for name in (*COUNTS, *AMOUNTS)]
    return sa.select(word(span), sa.literal(since, cost_sums.c.since.type), *named, *totals).group_by(*named)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
