"""Brings a database's schema to a revision, from Python: no alembic.ini, no working directory."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from synthralos.store.sql.database import Database

_LOCK = 5_017_423_110
"""Key of the advisory lock under which PostgreSQL migrates, so that several processes may start at once."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Safe to call from several processes at once."""
    _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision` (`base`: nothing is left)."""
    _run(database, command.downgrade, revision)


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(database: Database) -> str | None:
    """The revision that the database is at; None for an empty one."""
    with database.snapshot() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _run(database: Database, action: object, revision: str) -> None:
    with database.write.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        if database.dialect == "postgresql":
            # What changes a table of millions of rows, and waits for whoever does so already, has no deadline.
            connection.execute(sa.text("SET lock_timeout = 0"))
            connection.execute(sa.text("SET statement_timeout = 0"))
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
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
