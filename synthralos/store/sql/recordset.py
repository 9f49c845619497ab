"""Rows as one parameter: a JSON array that the database unfolds into a table.

One statement over many rows is what makes the hot path fast, and a JSON array is the cheapest way to hand
rows over: against arrays with `unnest` or many-valued inserts it takes a tenth of the client's CPU, on
PostgreSQL (`json_to_recordset`) and on SQLite (`json_each`) alike.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import FromClause

from synthralos.store.sql.types import Id, encode_json

Row = dict[str, Any]
Columns = Mapping[str, Any]
RowFilter = Callable[[FromClause], sa.ColumnElement[bool]]
"""Which rows of a recordset are meant, where one statement decides about the rows of another."""


def encode_rows(rows: Iterable[Row]) -> str:
    """The parameter's value. Times, money and payloads must have been encoded (`encode_time`, `encode_json` …)."""
    return encode_json(list(rows)) or "[]"


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


def among(dialect: str, column: sa.ColumnElement[Any], parameter: str = "ids") -> sa.ColumnElement[bool]:
    """That a column of ids is one of those in `parameter`, which `encode_ids` makes.

    PostgreSQL searches an index by it, below a view of several tables, too, where it would not by a join.
    """
    given = sa.bindparam(parameter, type_=sa.Text())
    if dialect == "postgresql":
        return column == sa.any_(sa.cast(given, postgresql.ARRAY(Id)))
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def encode_ids(dialect: str, ids: Iterable[str]) -> str:
    """The value of the parameter of `among`."""
    return f"{{{','.join(ids)}}}" if dialect == "postgresql" else encode_json(list(ids)) or "[]"


def insert_where_none_is(dialect: str, table: sa.Table, values: Mapping[str, Any]) -> sa.Insert:
    """`INSERT … ON CONFLICT DO NOTHING` of one row: where there is one of its key, that one stays."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).values(**values).on_conflict_do_nothing()


def insert_ignoring(
    dialect: str, table: sa.Table, columns: list[str], rows: "sa.Select[*tuple[Any, ...]]"
) -> sa.Insert:
    """`INSERT … SELECT … ON CONFLICT DO NOTHING`, so that a write repeated after a lost commit does no harm."""
    if dialect == "postgresql":
        return postgresql.insert(table).from_select(columns, rows).on_conflict_do_nothing()
    # SQLite's grammar needs a WHERE between the SELECT and ON CONFLICT.
    return sqlite.insert(table).from_select(columns, rows.where(sa.true())).on_conflict_do_nothing()


def insert_updating(
    dialect: str, table: sa.Table, columns: list[str], rows: "sa.Select[*tuple[Any, ...]]", again: Mapping[str, Any]
) -> sa.Insert:
    """`INSERT … SELECT … ON CONFLICT DO UPDATE`: where there is such a row, set `again` in it."""
    keys = list(table.primary_key.columns)
    if dialect == "postgresql":
        inserted = postgresql.insert(table).from_select(columns, rows)
        return inserted.on_conflict_do_update(index_elements=keys, set_=dict(again))
    found = sqlite.insert(table).from_select(columns, rows.where(sa.true()))
    return found.on_conflict_do_update(index_elements=keys, set_=dict(again))
