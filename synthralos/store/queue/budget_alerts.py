"""Thresholds of budgets that a settlement passed, told as events of the jobs by which they were."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from synthralos.domain.budgets import Budget
from synthralos.domain.events import BudgetAlert, Event
from synthralos.store.admin.budgets import read_budgets
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.budget_rows import Hold, Key, Used
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import jobs


class Alerts:
    """Tells within the caller's transaction, which holds the rows of what was used: so each threshold once a period."""

    def __init__(self, dialect: str) -> None:
        self._insert_events = EVENTS.insert(dialect)

    def tell(self, connection: sa.Connection, uses: Mapping[Key, Used], holds: Iterable[Hold]) -> list[int]:
        """Append an event for each threshold that was passed, and mark it as told in `uses`; the percentages."""
        by_key = {hold.key: hold for hold in holds}
        budgets = {budget.id: budget for budget in read_budgets(connection, sorted({key[0] for key in by_key}))}
        now = connection.execute(sa.select(utcnow())).scalar_one()
        told: list[tuple[Hold, int, Event]] = []
        for key, hold in by_key.items():
            use, budget = uses[key], budgets.get(key[0])
            for percent in () if budget is None else _passed(budget, use, now):
                assert budget is not None
                use.alerted = percent
                told.append((hold, percent, _event(budget, hold, use, percent, now)))
        if told:
            owners = _organizations(connection, sorted({hold.job_id for hold, _, _ in told}))
            rows = [event_row(hold.job_id, owners[hold.job_id], e) for hold, _, e in told if hold.job_id in owners]
            connection.execute(self._insert_events, {"rows": encode_rows(rows)})
        return [percent for _, percent, _ in told]


def _passed(budget: Budget, use: Used, now: datetime) -> list[int]:
    """The thresholds that were not told yet, from the lowest."""
    limit = budget.limit_at(now)
    return [each for each in sorted(budget.alerts) if each > use.alerted and use.gone * 100 >= limit * each]


def _event(budget: Budget, hold: Hold, use: Used, percent: int, now: datetime) -> Event:
    told = BudgetAlert(
        budget=budget.name,
        budget_id=budget.id,
        subject=hold.key[1],
        percent=percent,
        limit_usd=format(budget.limit_at(now), "f"),
        spent_usd=format(use.gone, "f"),
    )
    return Event.of(told, "budgets")


def _organizations(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, str]:
    query = sa.select(id_text(jobs.c.id), jobs.c.organization).where(jobs.c.id.in_(job_ids))
    return {row.id: row.organization for row in connection.execute(query)}
