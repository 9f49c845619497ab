"""Rows as one parameter: a JSON array that the database unfolds into a table.

One statement over many rows is what makes the hot path fast, and a JSON array is the cheapest way to hand
rows over: against arrays with `unnest` or many-valued inserts it takes a tenth of the client's CPU, on
PostgreSQL (`json_to_recordset`) and on SQLite (`json_each`) alike.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import FromClause

Row = dict[str, Any]
Columns = Mapping[str, Any]
RowFilter = Callable[[FromClause], sa.ColumnElement[bool]]
"""Which rows of a recordset are meant, where one statement decides about the rows of another."""

_UNSTORABLE = re.compile("[\\x00\ud800-\udfff]")


def encode_rows(rows: Iterable[Row]) -> str:
    """The parameter's value. Times and money must have been encoded (`encode_time`, `encode_money`).

    What a provider answers may hold characters that no database takes as text: NUL (PostgreSQL) and lone
    surrogates (not UTF-8). They are stored as U+FFFD, because a result must not be lost over them.
    """
    rows = list(rows)
    try:
        text = orjson.dumps(rows).decode()
    except TypeError:
        return orjson.dumps(_storable(rows)).decode()
    return orjson.dumps(_storable(rows)).decode() if "\\u0000" in text else text


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value


def recordset(dialect: str, parameter: str, columns: Columns) -> FromClause:
    """A FROM element named `parameter` with `columns`, filled from the JSON array bound to `parameter`."""
    if dialect == "postgresql":
        rows = sa.func.json_to_recordset(sa.cast(sa.bindparam(parameter, type_=sa.Text()), sa.JSON()))
        typed = [sa.column(name, kind) for name, kind in columns.items()]
        return rows.table_valued(*typed, name=parameter).render_derived(name=parameter, with_types=True)
    each = sa.func.json_each(sa.bindparam(parameter, type_=sa.Text())).table_valued("value", name=f"{parameter}_each")
    fields = [
        sa.type_coerce(sa.func.json_extract(each.c.value, f"$.{name}"), kind).label(name)
        for name, kind in columns.items()
    ]
    return sa.select(*fields).select_from(each).subquery(parameter)


def batch(
    dialect: str, parameter: str, columns: Columns, chosen: RowFilter | None
) -> tuple[FromClause, list[str], list[sa.ColumnElement[bool]]]:
    """A recordset, its columns' names, and the condition that leaves the `chosen` rows of it, if any are to be left.

    Rows that are to be chosen from carry a number `no` besides.
    """
    if chosen is None:
        return recordset(dialect, parameter, columns), list(columns), []
    rows = recordset(dialect, parameter, {**columns, "no": sa.Integer()})
    return rows, list(columns), [chosen(rows)]


def insert_ignoring(
    dialect: str, table: sa.Table, columns: list[str], rows: "sa.Select[*tuple[Any, ...]]"
) -> sa.Insert:
    """`INSERT … SELECT … ON CONFLICT DO NOTHING`, so that a write repeated after a lost commit does no harm."""
    if dialect == "postgresql":
        return postgresql.insert(table).from_select(columns, rows).on_conflict_do_nothing()
    # SQLite's grammar needs a WHERE between the SELECT and ON CONFLICT.
    return sqlite.insert(table).from_select(columns, rows.where(sa.true())).on_conflict_do_nothing()
