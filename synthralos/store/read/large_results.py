"""Large results in SQLite, read through its incremental I/O: neither SQLite nor this process holds one as a whole.

`substr` would not do: SQLite reads the whole value for each piece of it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import sqlalchemy as sa

from synthralos.store.sql.database import Database
from synthralos.store.tables import results

_ROWS = (
    sa.select(sa.literal_column("rowid"), results.c.job_id)
    .select_from(results)
    .where(results.c.job_id.in_(sa.bindparam("ids", expanding=True)), results.c.result.is_not(None))
)


class LargeResults:
    """Raises what the store raises."""

    def __init__(self, database: Database) -> None:
        """Of a SQLite database."""
        self._database = database

    def sizes(self, job_ids: Sequence[str]) -> dict[str, int]:
        """The bytes of JSON of those of the jobs that have a result."""
        with self._opened(job_ids) as opened:
            return {job_id: len(blob) for job_id, blob in opened}

    def piece(self, job_id: str, first: int, size: int) -> bytes:
        """So many bytes from the `first` one on, from 0; fewer at the end, and none behind it or where it is gone."""
        with self._opened([job_id]) as opened:
            for _, blob in opened:
                if first < len(blob):
                    blob.seek(first)
                    return blob.read(size)
        return b""

    @contextmanager
    def _opened(self, job_ids: Sequence[str]) -> "Iterator[Iterator[tuple[str, sqlite3.Blob]]]":
        with self._database.snapshot() as connection:
            driver = cast(sqlite3.Connection, connection.connection.driver_connection)
            # One state: a row's number may be that of another one as soon as it is removed.
            driver.execute("BEGIN")
            try:
                rows = connection.execute(_ROWS, {"ids": list(job_ids)}).all()
                yield _each(driver, [(row.job_id, row.rowid) for row in rows])
            finally:
                driver.execute("ROLLBACK")


def _each(driver: sqlite3.Connection, rows: Sequence[tuple[str, int]]) -> "Iterator[tuple[str, sqlite3.Blob]]":
    for job_id, row in rows:
        with driver.blobopen(results.name, results.c.result.name, row, readonly=True) as blob:
            yield job_id, blob
