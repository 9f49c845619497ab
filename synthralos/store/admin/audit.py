"""The audit log: who changed what, from what to what. Written in the transaction of the change, and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.ids import new_id
from synthralos.domain.scope import Scope
from synthralos.store.queue.idempotency import Once
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import audit_log


class By(NamedTuple):
    """Who changes something, and why: both go on record. `once`: the key under which it is made, where there is one."""

    actor: str
    reason: str = ""
    once: Once | None = None


SYSTEM = By("system")
"""What the installation does by itself."""


class Change(NamedTuple):
    """One act on one subject, such as `flag:track_model_costs`. `before` and `after`: None where there was nothing."""

    act: Act
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    organization: str | None = None
    """Whose it is; None: the whole installation's."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change as it stands on record."""

    id: str
    at: datetime
    actor: str
    act: str
    subject: str
    organization: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str


class AuditFilter(NamedTuple):
    """Which entries are wanted: all conditions that are given have to hold. `cursor`: the last id of the page before.

    `subject` may end in `*`: whatever begins so. `since` is included, `until` is not.
    """

    actor: str | None = None
    act: str | None = None
    subject: str | None = None
    organization: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None


def record(connection: sa.Connection, by: By, change: Change) -> None:
    """Write down a change in the transaction that makes it."""
    row = {"id": new_id(), "at": utcnow(), "actor": by.actor, "reason": by.reason, **change._asdict()}
    connection.execute(sa.insert(audit_log).values(row))


class Audit:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: AuditFilter, scope: Scope, limit: int) -> list[AuditEntry]:
        """At most `limit` entries, newest first. Who is bound to an organization sees what concerns that one."""
        query = sa.select(audit_log).where(*_conditions(wanted), *within(Scope(scope.organization), audit_log))
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(audit_log.c.id.desc()).limit(limit))
            return [AuditEntry(**row) for row in rows.mappings()]


def _conditions(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    entry = audit_log.c
    equal = {"actor": wanted.actor, "act": wanted.act, "organization": wanted.organization}
    conditions = [entry[name] == value for name, value in equal.items() if value is not None]
    if wanted.subject is not None:
        begin = wanted.subject.removesuffix("*")
        whole = begin == wanted.subject
        conditions.append(entry.subject == begin if whole else entry.subject.startswith(begin, autoescape=True))
    if wanted.since is not None:
        conditions.append(entry.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(entry.at < wanted.until)
    if wanted.cursor is not None:
        conditions.append(entry.id < wanted.cursor)
    return conditions
