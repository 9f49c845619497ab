"""How a database's schema stands to this release. Alembic, which is slow to import, is not needed to tell."""

import functools
import re
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from synthralos.store.sql.database import Database

_REVISION = re.compile(r"\d{4}")
_FILES = "m[0-9][0-9][0-9][0-9]_*.py"
_VERSIONS = sa.table("alembic_version", sa.column("version_num"))


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


@functools.cache
def head() -> str:
    """The newest revision that this code knows: revisions are numbered in a row, and their files by them."""
    return max(file.name[1:5] for file in (Path(__file__).parent / "versions").glob(_FILES))


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
        if not sa.inspect(connection).has_table(_VERSIONS.name):
            return None
        revision: str | None = connection.execute(sa.select(_VERSIONS.c.version_num)).scalar_one_or_none()
        return revision
