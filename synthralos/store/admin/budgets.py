"""Budgets as people set them, and what was used of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.budgets import AtLimit, Budget, Per, Period, Raised, Use
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.changing import changing
from synthralos.store.queue.idempotency import make_once
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import budget_holds, budget_uses, budgets

MOST_USES = 1000


class BudgetStore:
    """Reads and changes them, but for those that are caps of one run.

    A scope sees the budgets of its own tenant; one without an organization sees all.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, scope: Scope = EVERYTHING) -> Sequence[Budget]:
        """The budgets of the scope, oldest first."""
        with self._database.snapshot() as connection:
            return read_budgets(connection, scope=scope, runs=False)

    def get(self, budget_id: str, scope: Scope = EVERYTHING) -> Budget | None:
        """One of them."""
        with self._database.snapshot() as connection:
            found = read_budgets(connection, [budget_id], scope, runs=False)
        return found[0] if found else None

    def uses(self, budget: Budget, limit: int = MOST_USES) -> list[Use]:
        """What was used of it in the present period, by subject; those who spent most first."""
        use = budget_uses.c
        with self._database.snapshot() as connection:
            since = budget.period.since(connection.execute(sa.select(utcnow())).scalar_one())
            query = sa.select(budget_uses).where(use.budget_id == budget.id, use.since == since)
            rows = connection.execute(query.order_by(use.spent_picousd.desc(), use.subject).limit(limit)).all()
        return [Use(r.subject, r.since, r.held_picousd, r.maybe_picousd, r.spent_picousd) for r in rows]

    def create(self, budget: Budget, by: By) -> Budget:
        """A new budget, checked by the caller. It holds calls that start from now on."""
        with changing(self._database) as connection:
            make_once(connection, by.once, budget.id)
            connection.execute(sa.insert(budgets).values(id=budget.id, **budget_columns(budget, by)))
            _record(connection, Act.CREATE_BUDGET, None, budget, by)
        return budget

    def replace(self, budget: Budget, by: By, act: Act = Act.CHANGE_BUDGET) -> Budget | None:
        """Have the budget of that id be this; None where there is none. What was used of it stays."""
        with changing(self._database) as connection:
            before = read_budgets(connection, [budget.id])
            if not before:
                return None
            statement = sa.update(budgets).where(budgets.c.id == budget.id)
            connection.execute(statement.values(**budget_columns(budget, by)))
            _record(connection, act, before[0], budget, by)
        return budget

    def raise_limit(self, budget: Budget, raised: Raised | None, by: By) -> Budget | None:
        """Have another limit until a time; None ends it now."""
        return self.replace(replace(budget, raised=raised), by, Act.RAISE_BUDGET)

    def remove(self, budget_id: str, by: By) -> Budget | None:
        """Remove the budget, with what was used of it, and give it."""
        with changing(self._database) as connection:
            before = read_budgets(connection, [budget_id])
            if not before:
                return None
            for table in (budget_holds, budget_uses):
                connection.execute(sa.delete(table).where(table.c.budget_id == budget_id))
            connection.execute(sa.delete(budgets).where(budgets.c.id == budget_id))
            _record(connection, Act.REMOVE_BUDGET, before[0], None, by)
        return before[0]


def read_budgets(
    connection: sa.Connection, ids: Sequence[str] | None = None, scope: Scope = EVERYTHING, *, runs: bool = True
) -> tuple[Budget, ...]:
    """The budgets of these ids (None: all) within the scope, oldest first; `runs`: also those of one run alone."""
    ids_of = (id_text(budgets.c.id), id_text(budgets.c.api_key_id))
    query = sa.select(*ids_of, *(column for column in budgets.c if column.name not in ("id", "api_key_id")))
    query = query.where(*within(scope, budgets)).order_by(budgets.c.id)
    if not runs:
        query = query.where(budgets.c.run_id.is_(None))
    if ids is not None:
        query = query.where(budgets.c.id.in_(ids))
    return tuple(_budget(row) for row in connection.execute(query))


def _budget(row: Any) -> Budget:
    raised = None
    if row.raised_until is not None:
        raised = Raised(row.raised_picousd, row.raised_until, row.raised_by, row.raised_reason)
    return Budget(
        row.id,
        row.name,
        Per(row.per),
        Period(row.period),
        row.limit_picousd,
        AtLimit(row.at_limit),
        row.organization,
        row.workspace,
        row.user_id,
        tuple(row.alerts),
        raised,
        row.api_key_id,
        row.run_id,
    )


def budget_columns(budget: Budget, by: By) -> dict[str, Any]:
    """The budget as its row, but for its id."""
    raised = budget.raised
    return {
        "name": budget.name,
        "organization": budget.organization,
        "workspace": budget.workspace,
        "user_id": budget.user,
        "api_key_id": budget.api_key,
        "run_id": budget.run,
        "per": str(budget.per),
        "period": str(budget.period),
        "limit_picousd": budget.limit,
        "at_limit": str(budget.at_limit),
        "alerts": list(budget.alerts),
        "raised_picousd": None if raised is None else raised.limit,
        "raised_until": None if raised is None else raised.until,
        "raised_by": None if raised is None else raised.by,
        "raised_reason": None if raised is None else raised.reason,
        "changed_at": utcnow(),
        "changed_by": by.actor,
    }


def _record(connection: sa.Connection, act: Act, before: Budget | None, after: Budget | None, by: By) -> None:
    budget = after or before
    assert budget is not None
    was, now = (None if each is None else each.to_json() for each in (before, after))
    record(connection, by, Change(act, f"budget:{budget.id}", was, now, budget.organization))
