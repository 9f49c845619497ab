"""Processes that hold jobs or lead: one heartbeat row each, and the terms by which one scheduler leads."""

import functools
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.domain.ids import new_id
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import leaders, processes


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as operators see it. `age` is the seconds since its last heartbeat, `release` our version it runs."""

    id: str
    kind: str
    host: str
    pid: int
    state: str
    stages: list[str]
    started_at: datetime
    age: float
    release: str | None = None


def boot_id() -> str:
    """What tells two machines, two boots and two containers of one host name apart ("" where unknown)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


@functools.cache
def release() -> str:
    """The version of this code, as it was installed ("" where it was not)."""
    try:
        return metadata.version("synthralos")
    except metadata.PackageNotFoundError:
        return ""


class Processes:
    """Registers processes and keeps their heartbeats."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, kind: str, stages: Sequence[str] = ()) -> str:
        """A new identity for this process; `kind` is `worker`, `scheduler` or `api`."""
        process_id = new_id()
        row = {
            "id": process_id,
            "kind": kind,
            "host": socket.gethostname(),
            "boot": boot_id(),
            "pid": os.getpid(),
            "stages": list(stages),
            "state": "running",
            "release": release(),
            "started_at": utcnow(),
            "heartbeat_at": utcnow(),
        }
        with self._database.transaction() as connection:
            connection.execute(sa.insert(processes).values(row))
        return process_id

    def beat(self, process_id: str) -> datetime | None:
        """Say that the process lives. The database's time, or None: it was declared lost meanwhile."""
        statement = (
            sa.update(processes)
            .where(processes.c.id == process_id, processes.c.state.in_(["running", "draining"]))
            .values(heartbeat_at=utcnow())
            .returning(processes.c.heartbeat_at)
        )
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar()

    def mark(self, process_id: str, state: str) -> None:
        """`draining` (takes no more jobs) or `stopped` (holds none any more)."""
        statement = sa.update(processes).where(processes.c.id == process_id, processes.c.state != "lost")
        with self._database.transaction() as connection:
            connection.execute(statement.values(state=state, heartbeat_at=utcnow()))

    def living(self, kind: str | None = None) -> list[ProcessRow]:
        """The processes that run or drain, newest first."""
        # The clock is read in the same query, so that the age is by the database's clock alone.
        query = sa.select(processes, utcnow().label("now")).where(processes.c.state.in_(["running", "draining"]))
        if kind is not None:
            query = query.where(processes.c.kind == kind)
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(processes.c.id.desc())).all()
        return [_row(row) for row in rows]


def _row(row: Any) -> ProcessRow:
    age = (row.now - row.heartbeat_at).total_seconds()
    return ProcessRow(row.id, row.kind, row.host, row.pid, row.state, row.stages, row.started_at, age, row.release)


class Leadership:
    """One leader per role, by a term in the database: whoever holds an unexpired term leads."""

    def __init__(self, database: Database, role: str, process_id: str, term_seconds: float) -> None:
        self._database = database
        self._role = role
        self._process_id = process_id
        self._seconds = term_seconds

    def campaign(self) -> int | None:
        """Renew or win the lead for another term: the term's number, or None while somebody else leads."""
        insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
        mine = leaders.c.holder == self._process_id
        statement = insert(leaders).values(
            role=self._role, holder=self._process_id, term=1, until=utc_in(sa.literal(self._seconds))
        )
        statement = statement.on_conflict_do_update(
            index_elements=["role"],
            set_={
                "holder": self._process_id,
                "term": leaders.c.term + sa.case((mine, 0), else_=1),
                "until": utc_in(sa.literal(self._seconds)),
            },
            where=sa.or_(mine, leaders.c.until <= utcnow()),
        )
        with self._database.transaction() as connection:
            return connection.execute(statement.returning(leaders.c.term)).scalar()

    def resign(self) -> None:
        """Give up the lead at once, so that another process need not wait for the term to end."""
        statement = sa.update(leaders).where(leaders.c.role == self._role, leaders.c.holder == self._process_id)
        with self._database.transaction() as connection:
            connection.execute(statement.values(until=utcnow()))
