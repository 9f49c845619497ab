"""Idempotency keys of what is made besides jobs, within the transaction that makes it."""

from dataclasses import dataclass

import sqlalchemy as sa

from synthralos.store.queue.submissions import Idempotency, KeyReused
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import insert_where_none_is
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import idempotency_keys


@dataclass(frozen=True, slots=True)
class Once:
    """A sender's key: what is made under it is made once. "" stands for an organization or workspace that it lacks."""

    organization: str
    workspace: str
    used: Idempotency


class MadeBeforeError(Exception):
    """Something was made under the key before. Nothing was changed."""

    def __init__(self, made: str) -> None:
        """`made`: what stands under the key."""
        super().__init__(made)
        self.made = made


class KeyReusedError(Exception):
    """The key was used before with another body. Nothing was changed."""


def take_key(
    connection: sa.Connection, dialect: str, organization: str, workspace: str, used: Idempotency, made: str
) -> str | KeyReused:
    """The id of what was made under the key, now (`made`) or earlier. Who comes at the same moment waits for the first.

    A sender without an organization or a workspace of its own has "" in its place.
    """
    row = {
        "organization": organization, "workspace": workspace, "key": used.key, "fingerprint": used.fingerprint,
        "job_ids": [made], "created_at": utcnow(),
    }  # fmt: skip
    connection.execute(insert_where_none_is(dialect, idempotency_keys, row))
    found = _under(connection, Once(organization, workspace, used))
    assert found is not None
    return found


def make_once(connection: sa.Connection, once: Once | None, made: str) -> None:
    """Have `made` be what stands under the key, in the transaction that makes it.

    Raises `MadeBeforeError` or `KeyReusedError`, which undo the transaction, where the key was used before.
    """
    if once is None:
        return
    holder = take_key(connection, connection.dialect.name, once.organization, once.workspace, once.used, made)
    if isinstance(holder, KeyReused):
        raise KeyReusedError
    if holder != made:
        raise MadeBeforeError(holder)


def made_under(database: Database, once: Once) -> str | None:
    """What was made under the key, as far as is known; raises `KeyReusedError`."""
    with database.snapshot() as connection:
        found = _under(connection, once)
    if isinstance(found, KeyReused):
        raise KeyReusedError
    return found


def _under(connection: sa.Connection, once: Once) -> str | KeyReused | None:
    table, used = idempotency_keys.c, once.used
    query = sa.select(table.fingerprint, table.job_ids).where(
        table.organization == once.organization, table.workspace == once.workspace, table.key == used.key
    )
    found = connection.execute(query).one_or_none()
    if found is None:
        return None
    if found.fingerprint != used.fingerprint:
        return KeyReused(used.key)
    [first] = found.job_ids
    return str(first)
