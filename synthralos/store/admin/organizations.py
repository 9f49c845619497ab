"""Organizations and the plans that they are on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.audit import Act
from synthralos.store.admin.audit import SYSTEM, By, Change, record
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import insert_ignoring
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import organizations


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization that was named by a key, or put on a plan."""

    name: str
    plan: str
    created_at: datetime


class Organizations:
    """Reads them, and puts them on plans."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_plan(self, name: str, plan: str, by: By = SYSTEM) -> Organization:
        """Put an organization (new or not) on a plan; jobs submitted from now on carry it."""
        with self._database.transaction() as connection:
            ensure_organization(connection, name, plan, by)
        [found] = self.all(name)
        return found

    def plan_of(self, name: str) -> str:
        """The organization's plan; `free` for one that was never heard of."""
        query = sa.select(organizations.c.plan).where(organizations.c.name == name)
        with self._database.snapshot() as connection:
            return connection.execute(query).scalar() or AccountPlan.FREE

    def all(self, name: str | None = None) -> Sequence[Organization]:
        """All of them by name, or the one of that name."""
        query = sa.select(organizations).order_by(organizations.c.name)
        if name is not None:
            query = query.where(organizations.c.name == name)
        with self._database.snapshot() as connection:
            return [Organization(row.name, row.plan, row.created_at) for row in connection.execute(query)]


def ensure_organization(connection: sa.Connection, name: str, plan: str | None, by: By) -> None:
    """Have the organization, on `plan` where one is given; raises `ValueError` for a plan that does not exist."""
    wanted = None if plan is None else AccountPlan(plan)
    values = sa.select(sa.literal(name), sa.literal(str(wanted or AccountPlan.FREE)), utcnow())
    columns = ["name", "plan", "created_at"]
    insert = insert_ignoring(connection.dialect.name, organizations, columns, values)
    added = connection.execute(insert.returning(organizations.c.name)).one_or_none() is not None
    if wanted is None:
        return
    mine = organizations.c.name == name
    before = connection.execute(sa.select(organizations.c.plan).where(mine).with_for_update()).scalar_one()
    connection.execute(sa.update(organizations).where(mine).values(plan=str(wanted)))
    plans = None if added else {"account_plan": before}, {"account_plan": str(wanted)}
    record(connection, by, Change(Act.SET_PLAN, f"organization:{name}", *plans, name))
