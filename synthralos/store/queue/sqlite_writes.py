"""On SQLite a batch of writes is several statements in one transaction, which nobody else can come between."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.store.queue.appended import APPENDED
from synthralos.store.queue.ledger import book_ends
from synthralos.store.queue.rows import SETTLE_COLUMNS, START_COLUMNS
from synthralos.store.queue.statements import fence, keep_results, lock_jobs, move_jobs, start_jobs, was
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import Row, encode_rows, recordset
from synthralos.store.tables import open_jobs

_LITE = "sqlite"


class SqliteWrites:
    """The statements, made once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        starts, rows = recordset(_LITE, "rows", START_COLUMNS), recordset(_LITE, "rows", SETTLE_COLUMNS)
        joined = rows.join(open_jobs, open_jobs.c.id == rows.c.id)
        settled = sa.select(*rows.c, *was()).select_from(joined).subquery("settled")
        self._start: Any = start_jobs(starts).returning(open_jobs.c.id, open_jobs.c.claim_no)
        self._lock = lock_jobs(_LITE)
        self._won = sa.select(rows.c.no).select_from(rows.join(open_jobs, sa.and_(*fence(rows))))
        self._book = book_ends(_LITE, settled)
        self._keep = keep_results(_LITE, settled)
        self._remove = sa.delete(open_jobs).where(open_jobs.c.id.in_(sa.select(rows.c.id)))
        self._move = move_jobs(rows)
        self._append = {name: table.insert(_LITE) for name, table in APPENDED.items()}

    def start(self, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin."""
        with self._database.transaction() as connection:
            return self.start_within(connection, worker_id, rows)

    def lock(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Lock the jobs of which attempts are to begin within the caller's transaction."""
        return set(connection.execute(self._lock, {"rows": encode_rows(rows), "worker": worker_id}).scalars())

    def start_within(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin within the caller's transaction."""
        found = connection.execute(self._start, {"rows": encode_rows(rows), "worker": worker_id}).all()
        # SQLite returns columns of the changed table alone.
        claims = {(row.id, row.claim_no) for row in found}
        return {row["no"] for row in rows if (row["id"], row["claim_no"]) in claims}

    def finish(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs end."""
        return self._settle(rows, beside, (self._book, self._keep, self._remove))

    def move(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs go on."""
        return self._settle(rows, beside, (self._book, self._move))

    def _settle(self, rows: Sequence[Row], beside: dict[str, list[Row]], statements: Sequence[Any]) -> set[int]:
        with self._database.transaction() as connection:
            return self._settle_in(connection, rows, beside, statements)

    def settle_within(
        self, connection: sa.Connection, rows: Sequence[Row], beside: dict[str, list[Row]], *, last: bool
    ) -> set[int]:
        """Jobs end (`last`) or go on within the caller's transaction."""
        statements = (self._book, self._keep, self._remove) if last else (self._book, self._move)
        return self._settle_in(connection, rows, beside, statements)

    def _settle_in(
        self, connection: sa.Connection, rows: Sequence[Row], beside: dict[str, list[Row]], statements: Sequence[Any]
    ) -> set[int]:
        won = set(connection.execute(self._won, {"rows": encode_rows(rows)}).scalars())
        if won:
            held = {"rows": encode_rows(row for row in rows if row["no"] in won)}
            for statement in statements:
                connection.execute(statement, held)
        for name, append in self._append.items():
            chosen = [row for row in beside[name] if row["no"] in won]
            if chosen:
                connection.execute(append, {"rows": encode_rows(chosen)})
        return won
