"""The lead within a transaction: who does not hold the term any more writes nothing."""

from typing import NamedTuple

import sqlalchemy as sa

from synthralos.store.sql.types import utcnow
from synthralos.store.tables import leaders

STATEMENT_SECONDS = 5
"""How long one statement of the leader may take, and how long its transaction may idle."""


class Lead(NamedTuple):
    """The process that leads, in which role, and in which term."""

    role: str
    holder: str
    term: int


def leads(connection: sa.Connection, lead: Lead) -> bool:
    """Whether the lead is still held, by the database's clock; sets the deadlines of this transaction by the way.

    The row is not locked: a leader that was stopped in the midst of its transaction would keep others from the lead.
    What is written afterwards is guarded by keys, so that a lead that is lost right now does no harm.
    """
    columns: list[sa.ColumnElement[object]] = [sa.literal(1)]
    if connection.dialect.name == "postgresql":
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        columns += [sa.func.set_config(name, f"{STATEMENT_SECONDS}s", True) for name in names]
    held = sa.select(*columns).where(
        leaders.c.role == lead.role,
        leaders.c.holder == lead.holder,
        leaders.c.term == lead.term,
        leaders.c.until > utcnow(),
    )
    return connection.execute(held).one_or_none() is not None
