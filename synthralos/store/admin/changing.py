"""A change of the configuration: one transaction, counted, so that every process notices."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import config_version


@contextmanager
def changing(database: Database) -> Iterator[sa.Connection]:
    """A transaction that counts as a change. The counter's row is locked first, so changes come one by one."""
    with database.transaction() as connection:
        changed_now(connection)
        yield connection


def changed_now(connection: sa.Connection) -> None:
    """Count a change that is made in this transaction."""
    first = {"id": 1, "version": 1, "changed_at": utcnow()}
    again = {"version": config_version.c.version + 1, "changed_at": utcnow()}
    connection.execute(upsert(connection, config_version, first, again))


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    values: Mapping[str, Any],
    again: Mapping[str, Any],
    where: sa.ColumnElement[bool] | None = None,
) -> sa.Insert:
    """Insert a row of `values`, or where there is one, set `again`; with `where`, only if it is like that."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values)
    keys = list(table.primary_key.columns)
    return statement.on_conflict_do_update(index_elements=keys, set_=dict(again), where=where)
