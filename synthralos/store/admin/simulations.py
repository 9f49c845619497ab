"""Whose turn it is to simulate: one at a time for each organization, whichever process does it.

A turn ends by itself where its holder is not heard of any more, so that a process that is gone holds up nobody.
"""

import sqlalchemy as sa

from synthralos.domain.ids import new_id
from synthralos.store.admin.changing import upsert
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, utc_in
from synthralos.store.tables import policy_simulations

SILENCE = 30.0
"""Seconds after which a turn ends whose holder is silent."""

table = policy_simulations


class Turns:
    """Takes turns, keeps them, and gives them back."""

    def __init__(self, database: Database, silence: float = SILENCE) -> None:
        self._database = database
        self._silence = silence

    def take(self, organization: str | None) -> str | None:
        """The turn of an organization, None meaning all of them; None where somebody else has it."""
        holder = new_id()
        values = {"organization": organization or "", "holder": holder, "until": self._until()}
        over = table.c.until < asked_at(sa.literal(0.0))
        with self._database.transaction() as connection:
            statement = upsert(connection, table, values, {k: values[k] for k in ("holder", "until")}, where=over)
            taken = connection.execute(statement.returning(table.c.organization)).one_or_none()
        return None if taken is None else holder

    def keep(self, holder: str) -> bool:
        """Have the turn for longer; False where it is over."""
        statement = sa.update(table).where(table.c.holder == holder).values(until=self._until())
        with self._database.transaction() as connection:
            return connection.execute(statement).rowcount == 1

    def give_back(self, holder: str) -> None:
        """It is the next one's turn."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.holder == holder))

    def _until(self) -> utc_in:
        return utc_in(sa.literal(self._silence))
