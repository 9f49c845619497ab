"""Which processes that ran on this machine have ended without a word."""

import os

import sqlalchemy as sa

from synthralos.store.admin.processes import boot_id
from synthralos.store.sql.database import Database
from synthralos.store.tables import processes

ALIVE = ("running", "draining")
"""The states of a process that is not known to have ended."""


def gone_from_here(database: Database) -> list[str]:
    """Processes of this very boot and pid namespace that no longer exist."""
    here = boot_id()
    if not here:
        return []
    query = sa.select(processes.c.id, processes.c.pid).where(processes.c.state.in_(ALIVE), processes.c.boot == here)
    with database.snapshot() as connection:
        return [row.id for row in connection.execute(query) if not _exists(row.pid)]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
