"""Caps of agent runs as people set them, and what was used of them."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.budgets import Budget, Per, Period
from synthralos.domain.ids import new_id
from synthralos.domain.run_caps import MOST_CAPPED, CapsUse, RunCaps
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.budgets import budget_columns
from synthralos.store.admin.changing import changing, upsert
from synthralos.store.read.jobs import spending_columns
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import all_jobs, budget_holds, budget_uses, budgets, jobs, open_jobs, run_caps

_CAP = run_caps.c
_ZERO = Decimal(0)


class RunCapsStore:
    """Reads and changes them. A change locks open jobs first, then money, then caps, as starts do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_run(self, run_id: str, organization: str | None = None) -> list[CapsUse]:
        """The caps of the run, of each organization that has one of that id; with `organization`, of that one."""
        with self._database.snapshot() as connection:
            return _uses(connection, run_id, organization)

    def put(self, wanted: RunCaps, seconds: float | None, by: By) -> CapsUse | None:
        """Have the run's caps be `wanted`; None where too many runs have caps. `seconds`: its deadline, from now.

        What the run has spent, and the calls that it has made before, count. Its open jobs get the deadline.
        """
        with changing(self._database) as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
            before = _uses(connection, wanted.run_id, wanted.organization)
            if not before and _count(connection) >= MOST_CAPPED:
                return None
            was = before[0].caps if before else None
            deadline = wanted.deadline if seconds is None else now + timedelta(seconds=seconds)
            caps = replace(wanted, deadline=deadline, budget_id=None if was is None else was.budget_id)
            _set_deadlines(connection, caps, None if was is None else was.deadline, now)
            caps = _set_budget(connection, caps, by)
            _write(connection, caps, by, new=was is None)
            _record(connection, Act.SET_RUN_CAPS, was, caps, by)
            return _uses(connection, caps.run_id, caps.organization)[0]

    def remove(self, run_id: str, organization: str, by: By) -> RunCaps | None:
        """Remove the caps of the run, and give them; None where it has none."""
        with changing(self._database) as connection:
            before = _uses(connection, run_id, organization)
            if not before:
                return None
            was = before[0].caps
            now = connection.execute(sa.select(utcnow())).scalar_one()
            _set_deadlines(connection, RunCaps(organization, run_id), was.deadline, now)
            _set_budget(connection, replace(was, max_cost=None), by)
            connection.execute(sa.delete(run_caps).where(*_is(run_id, organization)))
            _record(connection, Act.REMOVE_RUN_CAPS, was, None, by)
        return was


def read_run_caps(connection: sa.Connection) -> tuple[RunCaps, ...]:
    """The caps of all runs."""
    return tuple(_caps(row) for row in connection.execute(_query().limit(MOST_CAPPED)))


def _query() -> sa.Select[Any]:
    joined = run_caps.outerjoin(budgets, budgets.c.id == _CAP.budget_id)
    columns = [column for column in run_caps.c if column.name != "budget_id"]
    return sa.select(*columns, id_text(_CAP.budget_id), budgets.c.limit_picousd).select_from(joined)


def _is(run_id: str, organization: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _CAP.run_id == run_id, _CAP.organization == organization


def _uses(connection: sa.Connection, run_id: str, organization: str | None) -> list[CapsUse]:
    query = _query().where(_CAP.run_id == run_id).order_by(_CAP.organization).limit(100)
    if organization is not None:
        query = query.where(_CAP.organization == organization)
    return [_use(connection, row) for row in connection.execute(query).all()]


def _use(connection: sa.Connection, row: Any) -> CapsUse:
    use = budget_uses.c
    query = sa.select(use.spent_picousd, use.maybe_picousd, use.held_picousd).where(use.budget_id == row.budget_id)
    found = None if row.budget_id is None else connection.execute(query).first()
    gone, held = (_ZERO, _ZERO) if found is None else (found.spent_picousd + found.maybe_picousd, found.held_picousd)
    return CapsUse(_caps(row), row.calls, gone, held, row.refused_reason, row.refused_at)


def _caps(row: Any) -> RunCaps:
    return RunCaps(
        row.organization, row.run_id, row.max_calls, row.deadline, row.max_repeats, row.budget_id, row.limit_picousd
    )


def _count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(run_caps)).scalar_one()


def _set_deadlines(connection: sa.Connection, caps: RunCaps, old: datetime | None, now: datetime) -> None:
    """Open jobs end by the run's deadline, or by their own where it is earlier; the run's `old` one holds no more."""
    mine = (jobs.c.run_id == caps.run_id, jobs.c.organization == caps.organization)
    joined = open_jobs.join(jobs, jobs.c.id == open_jobs.c.id)
    locked = sa.select(open_jobs.c.id).select_from(joined).where(*mine).order_by(open_jobs.c.id)
    connection.execute(locked.with_for_update(of=open_jobs))
    own: sa.ColumnElement[Any] = open_jobs.c.deadline
    if old is not None:
        given = sa.case((sa.and_(jobs.c.deadline != old, jobs.c.deadline > now), jobs.c.deadline), else_=sa.null())
        own = sa.case((open_jobs.c.deadline == old, given), else_=open_jobs.c.deadline)
    if caps.deadline is not None:
        run = sa.literal(caps.deadline, open_jobs.c.deadline.type)
        own = sa.case((sa.or_(own.is_(None), own > run), run), else_=own)
    changed = own.is_distinct_from(open_jobs.c.deadline)
    statement = sa.update(open_jobs).where(open_jobs.c.id == jobs.c.id, *mine, changed)
    connection.execute(statement.values(deadline=own))


def _set_budget(connection: sa.Connection, caps: RunCaps, by: By) -> RunCaps:
    """Have the budget of the run hold its `max_cost`; the caps with the budget's id."""
    if caps.max_cost is None:
        for table in (budget_holds, budget_uses):
            connection.execute(sa.delete(table).where(table.c.budget_id == caps.budget_id))
        connection.execute(sa.delete(budgets).where(budgets.c.id == caps.budget_id))
        return replace(caps, budget_id=None)
    budget_id = caps.budget_id or new_id()
    budget = Budget(
        budget_id, f"run {caps.run_id}", Per.RUN, Period.TOTAL, caps.max_cost, organization=caps.organization,
        run=caps.run_id,
    )  # fmt: skip
    columns = budget_columns(budget, by)
    connection.execute(upsert(connection, budgets, {"id": budget_id, **columns}, columns))
    if caps.budget_id is None:
        spent = _sum(connection, caps, spending_columns()[0])
        key = {"budget_id": budget_id, "subject": f"{caps.organization}/{caps.run_id}"}
        since = Period.TOTAL.since(connection.execute(sa.select(utcnow())).scalar_one())
        amounts = {"held_picousd": _ZERO, "maybe_picousd": _ZERO, "spent_picousd": spent, "alerted": 0}
        connection.execute(sa.insert(budget_uses).values(**key, since=since, **amounts))
    return replace(caps, budget_id=budget_id)


def _sum(connection: sa.Connection, caps: RunCaps, column: sa.ColumnElement[Any]) -> Any:
    """The sum over all jobs of the run, in the column's own unit."""
    mine = (all_jobs.c.run_id == caps.run_id, all_jobs.c.organization == caps.organization)
    return sum((value for value in connection.execute(sa.select(column).where(*mine)).scalars() if value), start=0)


def _write(connection: sa.Connection, caps: RunCaps, by: By, *, new: bool) -> None:
    """Calls that were made before the run had caps are counted once: starts count on from there."""
    values = {
        "max_calls": caps.max_calls,
        "deadline": caps.deadline,
        "max_repeats": caps.max_repeats,
        "budget_id": caps.budget_id,
        "refused_reason": None,
        "refused_at": None,
        "changed_at": utcnow(),
        "changed_by": by.actor,
    }
    first = {"organization": caps.organization, "run_id": caps.run_id, **values}
    calls = _sum(connection, caps, all_jobs.c.attempts) if new else 0
    connection.execute(upsert(connection, run_caps, {**first, "calls": calls}, values))


def _record(connection: sa.Connection, act: Act, before: RunCaps | None, after: RunCaps | None, by: By) -> None:
    caps = after or before
    assert caps is not None
    was, now = (None if each is None else each.to_json() for each in (before, after))
    record(connection, by, Change(act, f"run:{caps.organization}/{caps.run_id}", was, now, caps.organization))
