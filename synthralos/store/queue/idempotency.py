"""Idempotency keys of what is made besides jobs, within the transaction that makes it."""

import sqlalchemy as sa

from synthralos.store.queue.submissions import Idempotency, KeyReused
from synthralos.store.sql.recordset import insert_where_none_is
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import idempotency_keys


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
    table = idempotency_keys.c
    query = sa.select(table.fingerprint, table.job_ids).where(
        table.organization == organization, table.workspace == workspace, table.key == used.key
    )
    found = connection.execute(query).one()
    if found.fingerprint != used.fingerprint:
        return KeyReused(used.key)
    [first] = found.job_ids
    return str(first)
