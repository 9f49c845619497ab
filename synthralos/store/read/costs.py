"""What was spent: from sums of whole days and hours, and from the ledger itself for what is in none of them yet.

So a month is a few thousand rows, and yet the answer is exact up to the last call that ended.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.costs import CostQuery, CostRow, Dimension, Group
from synthralos.domain.scope import Scope
from synthralos.store.read import cost_parts
from synthralos.store.read.cost_parts import AMOUNTS, Part
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import UtcTime
from synthralos.store.tables import COUNTS, cost_periods

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEDGER = "ledger"

_COLUMNS = {
    Dimension.ORGANIZATION: "organization",
    Dimension.WORKSPACE: "workspace",
    Dimension.USER: "user_id",
    Dimension.MODEL: "model",
    Dimension.DEPLOYMENT: "deployment",
    Dimension.PROVIDER: "provider",
    Dimension.STAGE: "stage",
    Dimension.RUN: "run_id",
    Dimension.API_KEY: "api_key_id",
    Dimension.KIND: "kind",
    Dimension.BASIS: "basis",
}
_TIMES = {Dimension.DAY: ("day", 10, "T00:00:00.000000Z"), Dimension.HOUR: ("hour", 13, ":00:00.000000Z")}


class Stretch(NamedTuple):
    """A time that one source answers for: sums of days, sums of hours, or the ledger."""

    source: str
    since: datetime
    until: datetime


class Costs:
    """Sums up costs within a scope."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.dialect

    def rows(self, query: CostQuery, scope: Scope) -> list[CostRow]:
        """The groups in the order of their values, at most `query.limit`; one row where there are no groups."""
        with self._database.report() as connection:
            statement = self._statement(query, scope, self._stretches(connection, query))
            return [_row(found, len(query.groups)) for found in connection.execute(statement)]

    def _stretches(self, connection: sa.Connection, query: CostQuery) -> list[Stretch]:
        if query.of_jobs:
            return [Stretch(LEDGER, query.since, query.until)]
        periods = cost_periods.c
        chosen = sa.select(periods.span, periods.since).where(
            periods.summed, periods.since >= query.since, periods.since < query.until
        )
        summed = {(row.span, row.since) for row in connection.execute(chosen)}
        by_hour = any(group.dimension is Dimension.HOUR for group in query.groups)
        return list(stretches(query.since, query.until, summed, days=not by_hour))

    def _statement(self, query: CostQuery, scope: Scope, along: list[Stretch]) -> Any:
        names = [f"g{no}" for no in range(len(query.groups))]
        asked = sa.union_all(*(self._branch(part, query, scope, names) for part in _sources(query, along))).subquery()
        sums = [sa.func.sum(asked.c[name]).label(name) for name in (*COUNTS, *AMOUNTS)]
        groups = [asked.c[name] for name in names]
        statement = sa.select(*groups, *sums)
        if query.after is not None:
            statement = statement.where(_beyond(groups, [_value(*pair) for pair in _pairs(query)]))
        return statement.group_by(*groups).order_by(*groups).limit(query.limit)

    def _branch(self, part: Part, query: CostQuery, scope: Scope, names: list[str]) -> Any:
        rows = part.subquery()
        groups = [self._group(rows, group).label(name) for group, name in zip(query.groups, names, strict=True)]
        wanted = [self._group(rows, group) == value for group, value in query.where.items()]
        sums = [sa.func.sum(rows.c[name]).label(name) for name in (*COUNTS, *AMOUNTS)]
        return sa.select(*groups, *sums).where(*wanted, *within(scope, rows)).group_by(*groups)

    def _group(self, rows: sa.Subquery, group: Group) -> sa.ColumnElement[Any]:
        if group.dimension in _TIMES:
            return self._truncated(rows.c.at, *_TIMES[group.dimension])
        if group.dimension is Dimension.TAG:
            return sa.func.coalesce(self._member(rows.c.metadata, group.tag or ""), "")
        column = rows.c[_COLUMNS[group.dimension]]
        may_miss = group.dimension in (Dimension.USER, Dimension.RUN, Dimension.API_KEY)
        return sa.func.coalesce(column, "") if may_miss else column

    def _truncated(self, at: Any, unit: str, length: int, rest: str) -> sa.ColumnElement[datetime]:
        if self._dialect == "postgresql":
            return sa.func.date_trunc(sa.literal_column(f"'{unit}'"), at, sa.literal_column("'UTC'"), type_=UtcTime())
        begin = sa.func.substr(sa.type_coerce(at, sa.Text()), 1, length)
        return sa.type_coerce(begin + sa.literal(rest, sa.Text()), UtcTime())

    def _member(self, metadata: Any, name: str) -> sa.ColumnElement[str]:
        if self._dialect == "postgresql":
            return sa.cast(metadata, sa.JSON).op("->>")(sa.literal(name, sa.Text()))
        path = '$."' + name.replace('"', '\\"') + '"'
        return sa.cast(sa.func.json_extract(metadata, path), sa.Text)


def stretches(since: datetime, until: datetime, summed: set[tuple[str, datetime]], *, days: bool) -> Iterator[Stretch]:
    """The whole time from `since` to `until`, each part from the coarsest source that has just that part."""
    now: Stretch | None = None
    for piece in _pieces(since, until, summed, days):
        if now is not None and now.source == piece.source:
            now = now._replace(until=piece.until)
            continue
        if now is not None:
            yield now
        now = piece
    if now is not None:
        yield now


def _pieces(since: datetime, until: datetime, summed: set[tuple[str, datetime]], days: bool) -> Iterator[Stretch]:
    at = since.astimezone(UTC)
    while at < until:
        if days and at + DAY <= until and ("day", at) in summed:
            piece = Stretch("day", at, at + DAY)
        elif at + HOUR <= until and ("hour", at) in summed:
            piece = Stretch("hour", at, at + HOUR)
        else:
            piece = Stretch(LEDGER, at, min(at.replace(minute=0, second=0, microsecond=0) + HOUR, until))
        yield piece
        at = piece.until


def _sources(query: CostQuery, along: list[Stretch]) -> Iterator[Part]:
    """The sources with the times that each answers for."""
    for span in ("day", "hour"):
        if any(each.source == span for each in along):
            part = cost_parts.sums(span)
            yield part.where(_during(part.selected_columns.at, along, span))
    for part in cost_parts.ledger():
        if any(each.source == LEDGER for each in along):
            yield part.where(_during(part.selected_columns.at, along, LEDGER))
    part = cost_parts.adjustments()
    at = part.selected_columns.at
    yield part.where(at >= query.since, at < query.until)


def _during(at: Any, along: list[Stretch], source: str) -> sa.ColumnElement[bool]:
    at = at.element if isinstance(at, sa.Label) else at
    return sa.or_(*(sa.and_(at >= each.since, at < each.until) for each in along if each.source == source))


def _pairs(query: CostQuery) -> list[tuple[Group, str]]:
    return list(zip(query.groups, query.after or (), strict=True))


def _value(group: Group, text: str) -> Any:
    return datetime.fromisoformat(text) if group.dimension in _TIMES else text


def _beyond(groups: list[Any], values: list[Any]) -> sa.ColumnElement[bool]:
    """The groups that come after those values, in their order."""
    conditions = []
    for no, (group, value) in enumerate(zip(groups, values, strict=True)):
        same = [groups[before] == values[before] for before in range(no)]
        conditions.append(sa.and_(*same, group > value))
    return sa.or_(*conditions)


def _row(found: sa.Row[Any], groups: int) -> CostRow:
    values = found._mapping
    counts: dict[str, Any] = {name: int(values[name] or 0) for name in COUNTS}
    money = [values[name] for name in AMOUNTS]
    row = CostRow(tuple(_text(value) for value in found[:groups]), **counts)
    row.cost, row.maybe = (row.cost if amount is None else amount for amount in money)
    return row


def _text(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)
