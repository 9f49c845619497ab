"""Brings a database's schema to a revision, from Python: no alembic.ini, no working directory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from migrations import prompt_vectors
from migrations.schema import Schema, current, schema_at
from synthralos.store.sql.connecting import track_pages
from synthralos.store.sql.database import Database

_LOCK = 5_017_423_110
"""Key of the advisory lock under which PostgreSQL migrates, so that several processes may start at once."""

_PATIENCE_MS, _USUAL_MS = 600_000, 10_000
"""Milliseconds that a process waits on SQLite for one that migrates, and for all other writers."""

_LOOK_AGAIN = 0.1
"""Seconds after which a process that starts beside one that migrates looks whether that one is done."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Safe to call from several processes at once; a newer schema stays as it is."""
    schema = schema_at(current(database)) if revision == "head" else None
    if schema is Schema.NEWER:
        return
    if schema is not Schema.OK:
        _run(database, lambda connection: _alembic("upgrade", connection, revision))
    if revision == "head" and database.dialect == "postgresql":
        _run(database, prompt_vectors.make)
    elif revision == "head":
        with database.read.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            track_pages(driver)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision` (`base`: nothing is left)."""
    _run(database, lambda connection: _alembic("downgrade", connection, revision))


def _alembic(direction: Literal["upgrade", "downgrade"], connection: sa.Connection, revision: str) -> None:
    """Imported only here: what starts on a schema that fits has nothing to migrate."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)


def _take_turn(connection: sa.Connection) -> None:
    """Wait for the lock without a transaction: an index that is made concurrently waits for every one that is open."""
    while not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one():
        connection.rollback()
        time.sleep(_LOOK_AGAIN)
    connection.commit()


def _hold(connection: sa.Connection) -> None:
    """Have SQLite's one writer's turn for all migrations together: alembic would give it back after each of them.

    Then another process, which had read the same revision, would make the same tables.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    connection.begin()
    driver.execute(f"PRAGMA busy_timeout = {_USUAL_MS}")


def _run(database: Database, action: Callable[[sa.Connection], object]) -> None:
    with database.write.connect() as connection:
        if database.dialect == "postgresql":
            # What changes a table of millions of rows, and waits for whoever does so already, has no deadline.
            connection.execute(sa.text("SET lock_timeout = 0"))
            connection.execute(sa.text("SET statement_timeout = 0"))
            _take_turn(connection)
        else:
            _hold(connection)
        try:
            action(connection)
            connection.commit()
        finally:
            if database.dialect == "postgresql":
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.execute(sa.text("RESET lock_timeout"))
                connection.execute(sa.text("RESET statement_timeout"))
                connection.commit()
