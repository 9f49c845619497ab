"""Brings a database's schema to a revision, from Python: no alembic.ini, no working directory."""

import functools
import re
import time
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from migrations import prompt_vectors
from synthralos.store.sql.connecting import track_pages
from synthralos.store.sql.database import Database

_REVISION = re.compile(r"\d{4}")

_LOCK = 5_017_423_110
"""Key of the advisory lock under which PostgreSQL migrates, so that several processes may start at once."""

_PATIENCE_MS, _USUAL_MS = 600_000, 10_000
"""Milliseconds that a process waits on SQLite for one that migrates, and for all other writers."""

_LOOK_AGAIN = 0.1
"""Seconds after which a process that starts beside one that migrates looks whether that one is done."""


class Schema(StrEnum):
    """How the schema of a database stands to this release.

    `newer`: a later release migrated it, and keeps it fit for this one (see "Migrations" in CONTRIBUTING.md). Revisions
    are numbers of four digits, each greater than the one before; anything else is nobody's of ours.
    """

    OK = "ok"
    NEWER = "newer"
    OUTDATED = "outdated"
    FOREIGN = "foreign"

    @property
    def usable(self) -> bool:
        """Whether this release works with it."""
        return self in (Schema.OK, Schema.NEWER)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Safe to call from several processes at once; a newer schema stays as it is."""
    if revision == "head" and schema_at(current(database)) is Schema.NEWER:
        return
    _run(database, command.upgrade, revision)
    if revision == "head" and database.dialect == "postgresql":
        _run(database, lambda config, _: prompt_vectors.make(config.attributes["connection"]), revision)
    elif revision == "head":
        with database.read.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            track_pages(driver)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision` (`base`: nothing is left)."""
    _run(database, command.downgrade, revision)


@functools.cache
def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def schema_at(revision: str | None) -> Schema:
    """How a schema at `revision` (None: an empty database) stands to this release."""
    newest = head()
    if revision is None or revision < newest:
        return Schema.OUTDATED if revision is None or _REVISION.fullmatch(revision) else Schema.FOREIGN
    if revision == newest:
        return Schema.OK
    return Schema.NEWER if _REVISION.fullmatch(revision) else Schema.FOREIGN


def current(database: Database) -> str | None:
    """The revision that the database is at; None for an empty one."""
    with database.snapshot() as connection:
        return MigrationContext.configure(connection).get_current_revision()


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


def _run(database: Database, action: object, revision: str) -> None:
    with database.write.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        if database.dialect == "postgresql":
            # What changes a table of millions of rows, and waits for whoever does so already, has no deadline.
            connection.execute(sa.text("SET lock_timeout = 0"))
            connection.execute(sa.text("SET statement_timeout = 0"))
            _take_turn(connection)
        else:
            _hold(connection)
        try:
            action(config, revision)  # type: ignore[operator]  # alembic.command functions
            connection.commit()
        finally:
            if database.dialect == "postgresql":
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.execute(sa.text("RESET lock_timeout"))
                connection.execute(sa.text("RESET statement_timeout"))
                connection.commit()
