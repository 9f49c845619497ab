"""What a worker writes about its jobs: the start of an attempt, and everything that follows from its end.

Both are fenced by the claim and come in batches. The ledger is not fenced: what was paid for is booked even
if the claim was lost meanwhile.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa

from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written
from synthralos.store.exports.again import owe_again
from synthralos.store.queue.appended import APPENDED
from synthralos.store.queue.budgets import End, HeldMoney
from synthralos.store.queue.capped_runs import CappedRuns
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

    def lock(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Lock the jobs of which attempts are to begin within the caller's transaction."""
        ...

    def start_within(self, connection: sa.Connection, worker_id: str, rows: Sequence[Row]) -> set[int]:
        """Attempts of one worker begin within the caller's transaction."""
        ...

    def settle_within(
        self, connection: sa.Connection, rows: Sequence[Row], beside: dict[str, list[Row]], *, last: bool
    ) -> set[int]:
        """Jobs end (`last`) or go on within the caller's transaction."""
        ...

    def finish(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs end; `beside` them are rows of `APPENDED`, and `notices` that are told if any job was written."""
        ...

    def move(self, rows: Sequence[Row], beside: dict[str, list[Row]]) -> set[int]:
        """Jobs go on."""
        ...


class Settlements:
    """Writes starts and settlements. Safe to repeat as they are."""

    def __init__(
        self,
        database: Database,
        destinations: Sequence[str] = (),
        alerted: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        """`destinations`: the exporters that finished jobs are put on the backlog of.

        `alerted` is called with the percentages of budgets that were told of, once their events are durable.
        """
        self._database = database
        self._destinations = destinations
        self._alerted = alerted
        self._plans = StoredPlans(database)
        self._entries = CatalogEntries(database)
        self._writes: Writes = PostgresWrites(database) if database.dialect == "postgresql" else SqliteWrites(database)
        self._correct, self._lost_ends = correct_lost(database.dialect), lost_ends(database.dialect)
        self._money = HeldMoney(database.dialect)
        self._runs = CappedRuns()
        self._in_doubt: set[tuple[str, int, int]] = set()

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        """Book the attempts that still may begin; do not call where the claim was lost, or the worker declared lost.

        Where the connection breaks during the commit, nobody knows whether it was done: the same start, written
        again, is done if it was.
        """
        self._plans.store(start.detour or start.plan for start in starts)
        self._entries.store(starts)
        won: set[int] = set()
        refused: dict[int, Refused] = {}
        for worker_id, numbered in _by_worker(starts):
            charged = [each for each in numbered if _bounded(each[1])]
            free = [each for each in numbered if not _bounded(each[1])] if charged else numbered
            if free:
                won |= self._start(free, lambda rows, worker=worker_id: self._writes.start(worker, rows))  # type: ignore[misc]
            if charged:
                begin = partial(self._start_charged, worker_id, charged, refused)
                won |= self._start(charged, begin)
        return [refused.get(no) or written for no, written in enumerate(_written(len(starts), won))]

    def _start_charged(
        self, worker_id: str, charged: Sequence[tuple[int, Start]], refused: dict[int, Refused], rows: Sequence[Row]
    ) -> set[int]:
        """Attempts begin for which runs and budgets have room; the refusals of the others are added to `refused`."""
        with self._database.transaction() as connection:
            fenced = self._writes.lock(connection, worker_id, rows)
            mine = [each for each in charged if each[0] in fenced]
            again = self._runs.begun(connection, mine)
            reservation = self._money.reserve(connection, mine)
            turned_away = dict(reservation.refused)
            asking = [each for each in mine if each[0] not in again and each[0] not in turned_away]
            turned_away |= self._runs.admit(connection, asking)
            admitted = [row for row in rows if row["no"] in fenced - turned_away.keys()]
            won = self._writes.start_within(connection, worker_id, admitted) if admitted else set()
            self._money.hold(connection, reservation, won)
            self._runs.count(connection, mine, turned_away, won - again)
        refused.update(turned_away)
        return won

    def _start(self, numbered: Sequence[tuple[int, Start]], begin: Callable[[Sequence[Row]], set[int]]) -> set[int]:
        marks = {_mark(start) for _, start in numbered}
        doubtful = marks & self._in_doubt
        rows = [start_row(no, start, self._entries.key(start), _mark(start) in doubtful) for no, start in numbered]
        try:
            won = begin(rows)
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
        # Before the jobs, so that whoever sees one end finds its books complete.
        self._correct_lost([(settle_row(0, s.late), s.late) for s in settlements if s.late is not None])
        rows = [settle_row(no, s) for no, s in enumerate(settlements)]
        won: set[int] = set()
        for write, last in ((self._writes.finish, True), (self._writes.move, False)):
            numbered = [(no, s) for no, s in enumerate(settlements) if ends(s) is last]
            free = [(no, s) for no, s in numbered if not s.charged]
            if free:
                won |= write([rows[no] for no, _ in free], self._beside(free, notices))
            if len(free) < len(numbered):
                won |= self._settle_charged([each for each in numbered if each[1].charged], rows, notices, last)
        self._correct_lost([(rows[no], s) for no, s in enumerate(settlements) if no not in won and s.attempt])
        return _written(len(settlements), won)

    def _settle_charged(
        self, charged: Sequence[tuple[int, Settlement]], rows: Sequence[Row], notices: Sequence[Notice], last: bool
    ) -> set[int]:
        """The same for jobs whose calls budgets hold something for, which is settled with them."""
        with self._database.transaction() as connection:
            mine = [rows[no] for no, _ in charged]
            won = self._writes.settle_within(connection, mine, self._beside(charged, notices), last=last)
            ended = [_end(s) for no, s in charged if no in won and s.attempt is not None]
            told = self._money.settle(connection, ended)
        self._alerted(told)
        return won

    def _beside(self, numbered: Sequence[tuple[int, Settlement]], notices: Sequence[Notice]) -> dict[str, list[Row]]:
        beside = self._appended(numbered)
        beside["notices"] = [notice._asdict() for notice in notices]
        return beside

    def _appended(self, numbered: Sequence[tuple[int, Settlement]]) -> dict[str, list[Row]]:
        return {
            name: [{**row, "no": no} for no, s in numbered for row in table.rows(s, self._destinations)]
            for name, table in APPENDED.items()
        }

    def _correct_lost(self, late: Sequence[tuple[Row, Settlement]]) -> None:
        """After the jobs: whoever took a job from its worker has written its attempt off in the same transaction."""
        if not late:
            return
        lost = {"rows": encode_rows(row for row, _ in late)}
        with self._database.transaction() as connection:
            found = connection.execute(self._lost_ends, lost).all()
            if found:
                connection.execute(self._correct, lost)
                corrected = {(row.job_id, row.attempt_no) for row in found}
                ends = [_end(settlement) for _, settlement in late]
                self._money.settle(connection, [end for end in ends if end[:2] in corrected])
                unsum(connection, [row.ended_at for row in found])
                owe_again(connection, sorted({row.job_id for row in found}))


def _by_worker(items: Sequence[_Item]) -> Iterator[tuple[str, list[tuple[int, _Item]]]]:
    groups: defaultdict[str, list[tuple[int, _Item]]] = defaultdict(list)
    for no, item in enumerate(items):
        groups[item.job.claim.worker_id].append((no, item))
    yield from groups.items()


def _end(settlement: Settlement) -> End:
    attempt = settlement.attempt
    assert attempt is not None
    return End(settlement.job.id, attempt.attempt_no, attempt.billed, attempt.cost)


def _bounded(start: Start) -> bool:
    """Whether budgets or caps of its run have to have room for the call."""
    return bool(start.charges) or start.caps is not None


def _mark(start: Start) -> tuple[str, int, int]:
    return start.job.id, start.job.claim.claim_no, start.attempt_no


def _written(count: int, won: set[int]) -> list[Written]:
    return [Written.DONE if no in won else Written.CLAIM_LOST for no in range(count)]
