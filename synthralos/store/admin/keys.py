"""API keys and organizations. A key is stored as its SHA-256; the key itself is shown once, when it is made."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from synthralos.domain.ids import is_id, new_id
from synthralos.domain.scope import Scope
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import insert_ignoring
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import api_keys, organizations

PREFIX = "sk-syn-"


class Role(StrEnum):
    """What a key may do. `viewer` reads; `service` also submits and cancels; `operator` also retries and
    reroutes; `admin` also manages keys."""

    VIEWER = "viewer"
    SERVICE = "service"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: without the key. `plan` is its organization's."""

    id: str
    name: str
    prefix: str
    scope: Scope
    role: Role
    plan: str | None
    created_at: datetime
    revoked_at: datetime | None


class Keys:
    """Makes, finds and revokes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: Role, scope: Scope, plan: str | None = None) -> tuple[str, ApiKey]:
        """A new key and its row. `plan` sets the organization's plan (`free` for a new organization)."""
        secret = PREFIX + secrets.token_urlsafe(32)
        row = {
            "id": new_id(),
            "name": name,
            "prefix": secret[: len(PREFIX) + 8],
            "hash": digest(secret),
            "organization": scope.organization,
            "workspace": scope.workspace,
            "user_id": scope.user,
            "role": role,
            "created_at": utcnow(),
        }
        with self._database.transaction() as connection:
            if scope.organization is not None:
                self._ensure_organization(connection, scope.organization, plan)
            connection.execute(sa.insert(api_keys).values(row))
        found = self.find(secret)
        assert found is not None
        return secret, found

    def set_plan(self, organization: str, plan: str) -> None:
        """Put an organization (new or not) on a plan; jobs submitted from now on carry it."""
        with self._database.transaction() as connection:
            self._ensure_organization(connection, organization, plan)

    def plan_of(self, organization: str) -> str:
        """The organization's plan; `free` for one that was never heard of."""
        query = sa.select(organizations.c.plan).where(organizations.c.name == organization)
        with self._database.snapshot() as connection:
            return connection.execute(query).scalar() or "free"

    def find(self, secret: str) -> ApiKey | None:
        """The key that `secret` is, revoked or not; None where there is none."""
        found = self._select(api_keys.c.hash == digest(secret))
        return found[0] if found else None

    def all(self, scope: Scope) -> list[ApiKey]:
        """All keys within the scope, newest first."""
        return self._select(*within(scope, api_keys))

    def revoke(self, key_id: str, scope: Scope) -> bool:
        """Revoke a key by its id or its prefix; False where there is no such key within the scope."""
        statement = (
            sa.update(api_keys)
            .where(sa.or_(api_keys.c.id == key_id if is_id(key_id) else sa.false(), api_keys.c.prefix == key_id))
            .where(api_keys.c.revoked_at.is_(None), *within(scope, api_keys))
            .values(revoked_at=utcnow())
        )
        with self._database.transaction() as connection:
            return bool(connection.execute(statement).rowcount)

    def _select(self, *conditions: sa.ColumnElement[bool]) -> list[ApiKey]:
        query = (
            sa.select(api_keys, organizations.c.plan)
            .join(organizations, organizations.c.name == api_keys.c.organization, isouter=True)
            .where(*conditions)
            .order_by(api_keys.c.id.desc())
        )
        with self._database.snapshot() as connection:
            return [_key(row) for row in connection.execute(query)]

    def _ensure_organization(self, connection: sa.Connection, name: str, plan: str | None) -> None:
        values = sa.select(sa.literal(name), sa.literal(plan or "free"), utcnow())
        columns = ["name", "plan", "created_at"]
        connection.execute(insert_ignoring(self._database.dialect, organizations, columns, values))
        if plan is not None:
            connection.execute(sa.update(organizations).where(organizations.c.name == name).values(plan=plan))


def digest(secret: str) -> str:
    """SHA-256 in hex. A key has 256 random bits, so it needs neither salt nor stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    scope = Scope(row.organization, row.workspace, row.user_id)
    return ApiKey(row.id, row.name, row.prefix, scope, Role(row.role), row.plan, row.created_at, row.revoked_at)
