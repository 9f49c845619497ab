"""Money that is held for calls: reserved when they start, settled when they end, in the same transactions.

Who locks, locks jobs first, then attempts, then what is held for them, then what is used of budgets in the order of
(budget, subject, period), then caps of runs. So nobody waits in a circle, and whoever has a budget's row locked knows
what is left of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.budgets import Budget
from synthralos.domain.writes import Refused, Start
from synthralos.store.admin.budgets import read_budgets
from synthralos.store.queue.budget_alerts import Alerts
from synthralos.store.queue.budget_rows import (
    Hold,
    Key,
    Used,
    drop_holds,
    hold_row,
    holds_of,
    keep_holds,
    key_row,
    lock_uses,
    new_holds,
    new_uses,
    write_uses,
)  # fmt: skip
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import encode_money, id_text, utcnow, word
from synthralos.store.tables import attempts, budget_holds, open_jobs

OPEN, MAYBE = "open", "maybe"
ZERO = Decimal(0)


class End(NamedTuple):
    """How a call ended for its money: billed or not, and at what cost in USD where that is known."""

    job_id: str
    attempt_no: int
    billed: Billed
    cost: Decimal | None


class Reservation(NamedTuple):
    """Which starts have room, by number; the others' refusals; and what is to be written for those that do start."""

    refused: dict[int, Refused]
    holds: dict[int, list[Hold]]
    uses: dict[Key, Used]


class HeldMoney:
    """Reserves and settles within the caller's transaction."""

    def __init__(self, dialect: str) -> None:
        self._new_uses = new_uses(dialect)
        self._new_holds = new_holds(dialect)
        self._lock = lock_uses(dialect)
        self._write = write_uses(dialect)
        self._drop, self._keep = drop_holds(dialect), keep_holds(dialect)
        self._alerts = Alerts(dialect)

    def reserve(self, connection: sa.Connection, starts: Sequence[tuple[int, Start]]) -> Reservation:
        """Look which of the starts have room, in their order; their jobs are locked. `hold` writes it down.

        A start that was written before (its commit was in doubt) holds what it needs already.
        """
        now = connection.execute(sa.select(utcnow())).scalar_one()
        budgets = _current(connection, starts)
        written = {(hold.job_id, hold.attempt_no) for hold in holds_of(connection, [s.job.id for _, s in starts])}
        wanted = {no: _wanted(start, budgets, now) for no, start in starts}
        uses = self._locked(connection, {key for keys in wanted.values() for key in keys}, create=True)
        refused: dict[int, Refused] = {}
        holds: dict[int, list[Hold]] = {}
        for no, start in starts:
            if (start.job.id, start.attempt_no) in written:
                continue
            no_room = _no_room(start.reserved, wanted[no], uses, budgets, now)
            if no_room is not None:
                refused[no] = no_room
                continue
            assert start.reserved is not None or not wanted[no]
            for key in wanted[no]:
                uses[key].held += start.reserved or ZERO
            held = [Hold(start.job.id, start.attempt_no, key, start.reserved or ZERO, OPEN) for key in wanted[no]]
            holds[no] = held
        return Reservation(refused, holds, uses)

    def hold(self, connection: sa.Connection, reservation: Reservation, started: set[int]) -> None:
        """Write down what is held for the starts that were written."""
        for no, holds in reservation.holds.items():
            if no not in started:
                for hold in holds:
                    reservation.uses[hold.key].held -= hold.amount
        kept = [hold for no in sorted(started & reservation.holds.keys()) for hold in reservation.holds[no]]
        if kept:
            connection.execute(self._new_holds, {"rows": encode_rows(hold_row(hold) for hold in kept)})
            self._store(connection, reservation.uses)

    def settle(self, connection: sa.Connection, ends: Iterable[End]) -> list[int]:
        """Calls have ended: what was held for them is spent, freed, or stays as perhaps spent.

        Thresholds that were passed by it are told as events; their percentages.
        """
        by_attempt = {(end.job_id, end.attempt_no): end for end in ends}
        found = holds_of(connection, sorted({job_id for job_id, _ in by_attempt}), lock=True)
        holds = [hold for hold in found if (hold.job_id, hold.attempt_no) in by_attempt]
        if not holds:
            return []
        uses = self._locked(connection, {hold.key for hold in holds})
        holds = [hold for hold in holds if hold.key in uses]
        over: list[Hold] = []
        unsure: list[Hold] = []
        for hold in holds:
            left = _settled(uses[hold.key], hold, by_attempt[hold.job_id, hold.attempt_no])
            (over if left is None else unsure).append(hold if left is None else left)
        for statement, changed in ((self._drop, over), (self._keep, unsure)):
            if changed:
                connection.execute(statement, {"rows": encode_rows(hold_row(hold) for hold in changed)})
        told = self._alerts.tell(connection, uses, holds)
        self._store(connection, uses)
        return told

    def lose(self, connection: sa.Connection, job_ids: Sequence[str]) -> None:
        """Calls of these jobs were written off: what is held for them is perhaps spent."""
        found = [hold for hold in holds_of(connection, job_ids) if hold.fate == OPEN]
        self.settle(connection, [End(hold.job_id, hold.attempt_no, Billed.MAYBE, None) for hold in found])

    def _locked(self, connection: sa.Connection, keys: set[Key], *, create: bool = False) -> dict[Key, Used]:
        rows = {"rows": encode_rows(key_row(key) for key in sorted(keys))}
        if create and keys:
            connection.execute(self._new_uses, rows)
        found = connection.execute(self._lock, rows).all() if keys else []
        return {(r.budget_id, r.subject, r.since): Used(r.held, r.maybe, r.spent, r.alerted) for r in found}

    def _store(self, connection: sa.Connection, uses: Mapping[Key, Used]) -> None:
        rows = [
            {
                **key_row(key),
                "held": encode_money(use.held),
                "maybe": encode_money(use.maybe),
                "spent": encode_money(use.spent),
                "alerted": use.alerted,
            }
            for key, use in sorted(uses.items(), key=lambda item: item[0])
        ]
        connection.execute(self._write, {"rows": encode_rows(rows)})


class OrphanedHolds:
    """Money that is still held for calls that have ended: who settled them knew of no budgets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._money = HeldMoney(database.dialect)

    def settle(self, limit: int = 1000) -> int:
        """Settle up to `limit` of them by what the ledger says; how many there were."""
        with self._database.snapshot() as connection:
            found = _orphans(connection, limit)
        if found:
            with self._database.transaction() as connection:
                self._money.settle(connection, found)
        return len(found)


def _orphans(connection: sa.Connection, limit: int) -> list[End]:
    hold, job, end = budget_holds.c, open_jobs.c, attempts.c
    under_way = sa.exists().where(job.id == hold.job_id, job.in_flight, job.attempts == hold.attempt_no)
    joined = budget_holds.join(attempts, sa.and_(end.job_id == hold.job_id, end.attempt_no == hold.attempt_no))
    query = sa.select(id_text(hold.job_id), hold.attempt_no, end.billed, end.cost_picousd).select_from(joined)
    query = query.where(hold.fate == word(OPEN), ~under_way).order_by(hold.job_id).limit(limit)
    return [End(r.job_id, r.attempt_no, Billed(r.billed), r.cost_picousd) for r in connection.execute(query)]


def _current(connection: sa.Connection, starts: Sequence[tuple[int, Start]]) -> dict[str, Budget]:
    """The budgets as they are now: a worker may not have heard of a change yet."""
    ids = {charge.budget.id for _, start in starts for charge in start.charges}
    return {budget.id: budget for budget in read_budgets(connection, sorted(ids))}


def _wanted(start: Start, budgets: Mapping[str, Budget], now: datetime) -> list[Key]:
    known = [(budgets[charge.budget.id], charge.subject) for charge in start.charges if charge.budget.id in budgets]
    return [(budget.id, subject, budget.period.since(now)) for budget, subject in known]


def _no_room(
    amount: Decimal | None, keys: Sequence[Key], uses: Mapping[Key, Used], budgets: Mapping[str, Budget], now: datetime
) -> Refused | None:
    """The first budget without room for that amount; of a cost that nobody knows none can be sure."""
    for key in keys:
        budget, use = budgets[key[0]], uses[key]
        limit, until = budget.limit_at(now), budget.period.until(now)
        if amount is not None and use.gone + use.held + amount <= limit:
            continue
        full = amount is None or use.gone + amount > limit
        why = "cannot hold a call whose price is unknown" if amount is None else "has no room for the call"
        seconds = None if until is None or amount is None else (until - now).total_seconds()
        if amount is not None and amount > limit:
            seconds, why = None, "is smaller than what the call may cost"
        return Refused(budget.name, budget.at_limit, seconds, full, why)
    return None


def _settled(use: Used, hold: Hold, end: End) -> Hold | None:
    """Change what is used by the end of the call; what is still held for it."""
    if hold.fate == OPEN:
        use.held -= hold.amount
    else:
        use.maybe -= hold.amount
    if end.billed is Billed.NO:
        return None
    if end.billed is Billed.YES and end.cost is not None:
        use.spent += end.cost
        return None
    amount = hold.amount if end.cost is None else end.cost
    use.maybe += amount
    return hold._replace(amount=amount, fate=MAYBE)
