"""What a worker writes about its jobs: the start of an attempt, and everything that follows from its end.

Both are fenced by the claim and come in batches. The ledger is not fenced: what was paid for is booked even
if the claim was lost meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from synthralos.domain.writes import Settlement, Start, StartResult, Written
from synthralos.store.queue.appended import APPENDED
from synthralos.store.queue.content import CatalogEntries, StoredPlans
from synthralos.store.queue.ledger import correct_lost, lost_ends
from synthralos.store.queue.postgres_writes import PostgresWrites
from synthralos.store.queue.rows import ends, settle_row, start_row
from synthralos.store.queue.sqlite_writes import SqliteWrites
from synthralos.store.retention.cost_sums import unsum
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import is_transient
from synthralos.store.sql.notices import Notice
from synthralos.store.sql.recordset import Row, encode_rows

_Item = TypeVar("_Item", Start, Settlement)


class Writes(Protocol):
    """One database's way to write rows of workers; each call gives the numbers (`no`) of those whose claim held."""

    def start(self, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin."""
        ...

    def finish(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs end; `beside` them are rows of `APPENDED`, and `notices` that are told if any job was written."""
        ...

    def move(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs go on."""
        ...


class Settlements:
    """Writes starts and settlements. Safe to repeat as they are."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        """`destinations`: the exporters that finished jobs are put on the backlog of."""
        self._database = database
        self._destinations = destinations
        self._plans = StoredPlans(database)
        self._entries = CatalogEntries(database)
        self._writes: Writes = PostgresWrites(database) if database.dialect == "postgresql" else SqliteWrites(database)
        self._correct, self._lost_ends = correct_lost(database.dialect), lost_ends(database.dialect)
        self._in_doubt: set[tuple[str, int, int]] = set()

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        """Book the attempts that still may begin; do not call where the claim was lost, or the worker declared lost.

        Where the connection breaks during the commit, nobody knows whether it was done: the same start, written
        again, is done if it was.
        """
        self._plans.store(start.plan for start in starts)
        self._entries.store(starts)
        won: set[int] = set()
        for worker_id, numbered in _by_worker(starts):
            won |= self._start(worker_id, numbered)
        return [*_written(len(starts), won)]

    def _start(self, worker_id: str, numbered: Sequence[tuple[int, Start]]) -> set[int]:
        marks = {_mark(start) for _, start in numbered}
        doubtful = marks & self._in_doubt
        rows = [start_row(no, start, self._entries.key(start), _mark(start) in doubtful) for no, start in numbered]
        try:
            won = self._writes.start(worker_id, rows)
        except Exception as error:
            if is_transient(error):
                self._in_doubt |= marks
            raise
        self._in_doubt -= doubtful
        return won

    def settle(self, settlements: Sequence[Settlement], notices: Sequence[Notice] = ()) -> list[Written]:
        """Write what became of the jobs, or correct the ledger alone where the claim was lost.

        `notices` are said with the commit, on PostgreSQL alone.
        """
        self._plans.store(settlement.plan for settlement in settlements)
        rows = [settle_row(no, s) for no, s in enumerate(settlements)]
        won: set[int] = set()
        for write, last in ((self._writes.finish, True), (self._writes.move, False)):
            numbers = [no for no, s in enumerate(settlements) if ends(s) is last]
            if numbers:
                beside = self._appended([(no, settlements[no]) for no in numbers])
                beside["notices"] = [notice._asdict() for notice in notices]
                won |= write([rows[no] for no in numbers], beside)
        self._correct_lost([rows[no] for no, s in enumerate(settlements) if no not in won and s.attempt is not None])
        return _written(len(settlements), won)

    def _appended(self, numbered: Sequence[tuple[int, Settlement]]) -> dict[str, list[Row]]:
        return {
            name: [{**row, "no": no} for no, s in numbered for row in table.rows(s, self._destinations)]
            for name, table in APPENDED.items()
        }

    def _correct_lost(self, rows: Sequence[Row]) -> None:
        """After the jobs: whoever took a job from its worker has written its attempt off in the same transaction."""
        if not rows:
            return
        lost = {"rows": encode_rows(rows)}
        with self._database.transaction() as connection:
            ends = list(connection.execute(self._lost_ends, lost).scalars())
            if ends:
                connection.execute(self._correct, lost)
                unsum(connection, ends)


def _by_worker(items: Sequence[_Item]) -> Iterator[tuple[str, list[tuple[int, _Item]]]]:
    groups: defaultdict[str, list[tuple[int, _Item]]] = defaultdict(list)
    for no, item in enumerate(items):
        groups[item.job.claim.worker_id].append((no, item))
    yield from groups.items()


def _mark(start: Start) -> tuple[str, int, int]:
    return start.job.id, start.job.claim.claim_no, start.attempt_no


def _written(count: int, won: set[int]) -> list[Written]:
    return [Written.DONE if no in won else Written.CLAIM_LOST for no in range(count)]
