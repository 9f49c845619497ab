"""On PostgreSQL a batch of writes is one statement, which is a transaction by itself.

Every statement of a transaction is a round trip, and BEGIN and COMMIT are two more. Here the changes of the jobs
decide, as a common table expression, what is written beside them. Rows carry a number, `no`, by which the one is told
to the other.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import CTE

from synthralos.store.queue.appended import APPENDED
from synthralos.store.queue.ledger import book_ends
from synthralos.store.queue.rows import SETTLE_COLUMNS, START_COLUMNS
from synthralos.store.queue.statements import fence, keep_results, lock_jobs, move_jobs, start_jobs, was
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import told_beside
from synthralos.store.sql.prepared import Prepared
from synthralos.store.sql.recordset import Row, RowFilter, encode_rows, recordset
from synthralos.store.tables import open_jobs

_PG = "postgresql"


class PostgresWrites:
    """The statements, made once in a process. Most batches append and tell nothing, and those have a shorter one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock, self._start_within = lock_jobs(_PG), _start()
        self._settle_within = {
            (last, whole): _statement(last, whole) for last in (True, False) for whole in (True, False)
        }
        self._start = _prepared_start()
        self._finish = {whole: _prepared(True, whole) for whole in (True, False)}
        self._move = {whole: _prepared(False, whole) for whole in (True, False)}

    def start(self, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin."""
        return self._run(self._start, {"rows": encode_rows(rows), "worker": worker_id})

    def lock(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Lock the jobs of which attempts are to begin within the caller's transaction."""
        return set(connection.execute(self._lock, {"rows": encode_rows(rows), "worker": worker_id}).scalars())

    def start_within(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin within the caller's transaction."""
        return set(connection.execute(self._start_within, {"rows": encode_rows(rows), "worker": worker_id}).scalars())

    def settle_within(
        self, connection: sa.Connection, rows: Sequence[Row], beside: dict[str, list[Row]], *, last: bool
    ) -> set[int]:
        """Jobs end (`last`) or go on within the caller's transaction."""
        parameters = _parameters(rows, beside)
        return {row[0] for row in connection.execute(self._settle_within[last, len(parameters) > 1], parameters)}

    def finish(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs end."""
        return self._settle(self._finish, rows, beside)

    def move(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs go on."""
        return self._settle(self._move, rows, beside)

    def _settle(self, statements: dict[bool, Prepared], rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        parameters = _parameters(rows, beside)
        return self._run(statements[len(parameters) > 1], parameters)

    def _run(self, statement: Prepared, parameters: dict[str, str]) -> set[int]:
        return {row[0] for row in statement.run(self._database, parameters)}


def _parameters(rows: Sequence[Row], beside: dict[str, list[Row]]) -> dict[str, str]:
    """With what is beside the rows, where there is anything: only then the whole statement is needed."""
    more = {name: encode_rows(each) for name, each in beside.items()} if any(beside.values()) else {}
    return {"rows": encode_rows(rows), **more}


@cache
def _prepared_start() -> Prepared:
    return Prepared(_start())


@cache
def _prepared(last: bool, whole: bool) -> Prepared:
    return Prepared(_statement(last, whole))


@cache
def _statement(last: bool, whole: bool) -> Any:
    return _finish(whole) if last else _move(whole)


@cache
def _start() -> Any:
    rows = recordset(_PG, "rows", START_COLUMNS)
    return start_jobs(rows).returning(rows.c.no)


def _finish(whole: bool) -> Any:
    rows = recordset(_PG, "rows", SETTLE_COLUMNS)
    gone = sa.delete(open_jobs).where(*fence(rows)).returning(*rows.c, *was()).cte("gone")
    kept = keep_results(_PG, gone).cte("kept")
    return _told(gone, whole).add_cte(kept, book_ends(_PG, gone).cte("booked"), *_beside(gone, whole))


def _move(whole: bool) -> Any:
    rows = recordset(_PG, "rows", SETTLE_COLUMNS)
    moved = move_jobs(rows).returning(*rows.c, sa.true().label("was_in_flight"), *was(_LEFT)).cte("moved")
    return _told(moved, whole).add_cte(book_ends(_PG, moved).cte("booked"), *_beside(moved, whole))


_LEFT = ("attempts", "entry_key", "reserved_picousd", "started_at")
"""What a move leaves as it was, so that it can be read afterwards."""


def _told(changed: CTE, whole: bool) -> Any:
    """The numbers of the jobs that were changed; where there are any, what is to be told is told with the commit."""
    if not whole:
        return sa.select(changed.c.no)
    return sa.select(changed.c.no, told_beside().label("told"))


def _beside(changed: CTE, whole: bool) -> list[CTE]:
    if not whole:
        return []
    return [table.insert(_PG, name, _among(changed)).cte(f"put_{name}") for name, table in APPENDED.items()]


def _among(changed: CTE) -> RowFilter:
    """The rows whose number is among those of `changed`. An array, so that no join has to be planned."""
    return lambda rows: rows.c.no == sa.any_(sa.func.array(sa.select(changed.c.no).scalar_subquery()))
