"""How far the leader's passes over finished jobs have come (`digests`)."""

from typing import Any

import sqlalchemy as sa

from synthralos.store.tables import digests


def place_of(connection: sa.Connection, name: str) -> Any:
    """Where a pass stands; its row is locked, and made where there is none."""
    query = sa.select(digests).where(digests.c.name == name).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        connection.execute(sa.insert(digests).values(name=name, seq=0))
        found = connection.execute(query).one()
    return found


def move(connection: sa.Connection, name: str, **values: Any) -> None:
    """Have it stand somewhere else."""
    connection.execute(sa.update(digests).where(digests.c.name == name).values(values))
