"""Happenings are written where they happen, in the transaction that makes them true."""

from collections.abc import Iterable

import sqlalchemy as sa

from synthralos.domain.happenings import Happening
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import happenings


def tell(connection: sa.Connection, told: Iterable[Happening]) -> None:
    """Append them; the time is the database's."""
    rows = [
        {
            "id": each.id,
            "organization": each.organization or "",
            "kind": each.kind,
            "subject": each.subject,
            "actor": each.actor,
            "data": each.data,
        }
        for each in told
    ]
    if rows:
        connection.execute(sa.insert(happenings).values(at=utcnow()), rows)
