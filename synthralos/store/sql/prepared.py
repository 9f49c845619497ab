"""The hot statements: made of the table definitions like all others, compiled once, and run by psycopg as they are."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg as dialects

from synthralos.store.sql.database import Database

_DIALECT: sa.Dialect = dialects.dialect()  # type: ignore[no-untyped-call]


class Prepared:
    """A statement for PostgreSQL, prepared on every connection that runs it; rows are tuples.

    Its constants have to be written out (`word`, `sa.literal_column`): all its parameters are given with each call.
    """

    def __init__(self, statement: "sa.ClauseElement") -> None:
        """Raises `ValueError` for a statement with a constant that would become a parameter."""
        compiled = statement.compile(dialect=_DIALECT)
        constants = [name for name, value in compiled.params.items() if value is not None]
        if constants:
            raise ValueError(f"constants that are not written out: {', '.join(constants)}")
        self.sql = str(compiled)

    def run(self, database: Database, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """One round trip, and a transaction by itself."""
        with database.hot() as connection:
            return connection.execute(self.sql, parameters, prepare=True).fetchall()
