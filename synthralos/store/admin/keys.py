"""API keys. A key is stored as its SHA-256; the key itself is shown once, when it is made."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.ids import is_id, new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import SYSTEM, By, Change, record
from synthralos.store.admin.organizations import ensure_organization
from synthralos.store.queue.idempotency import make_once
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import api_keys, organizations

PREFIX = "sk-syn-"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: without the key. `plan` is its organization's.

    `expires_at`: from then on it is refused. `last_used_at` is true to about a minute.
    """

    id: str
    name: str
    prefix: str
    scope: Scope
    role: Role
    plan: str | None
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys:
    """Makes, finds, rotates and revokes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        role: Role,
        scope: Scope,
        plan: str | None = None,
        expires_at: datetime | None = None,
        by: By = SYSTEM,
    ) -> tuple[str, ApiKey]:
        """A new key and its row. `plan` sets the organization's plan (`free` for a new organization)."""
        with self._database.transaction() as connection:
            if scope.organization is not None:
                ensure_organization(connection, scope.organization, plan, by)
            secret = _insert(connection, name, role, scope, expires_at)
            make_once(connection, by.once, _subject(secret))
            after = {"name": name, "role": str(role), **_told(scope, expires_at)}
            record(connection, by, Change(Act.CREATE_KEY, _subject(secret), None, after, scope.organization))
        found = self.find(secret)
        assert found is not None
        return secret, found

    def rotate(self, key_id: str, scope: Scope, grace: timedelta, by: By = SYSTEM) -> tuple[str, ApiKey] | None:
        """A new key in place of a living one, which goes on for `grace`; None: no such key within the scope.

        The new key has its name, role, scope, and the time that it was given to live.
        """
        with self._database.transaction() as connection:
            row = connection.execute(sa.select(api_keys).where(*_living(key_id, scope)).with_for_update()).one_or_none()
            if row is None:
                return None
            soon = utc_in(sa.literal(grace.total_seconds()))
            old_until = sa.case((api_keys.c.expires_at < soon, api_keys.c.expires_at), else_=soon)
            connection.execute(sa.update(api_keys).where(api_keys.c.id == row.id).values(expires_at=old_until))
            expires_at = None if row.expires_at is None else datetime.now(UTC) + (row.expires_at - row.created_at)
            own = Scope(row.organization, row.workspace, row.user_id)
            secret = _insert(connection, row.name, Role(row.role), own, expires_at)
            after = {"replaced_by": _subject(secret), "grace_seconds": grace.total_seconds()}
            before = _told(own, row.expires_at)
            record(connection, by, Change(Act.ROTATE_KEY, _subject(row.prefix), before, after, own.organization))
        found = self.find(secret)
        assert found is not None
        return secret, found

    def find(self, secret: str) -> ApiKey | None:
        """The key that `secret` is, revoked or not; None where there is none."""
        found = self._select(api_keys.c.hash == digest(secret))
        return found[0] if found else None

    def all(self, scope: Scope) -> list[ApiKey]:
        """All keys within the scope, newest first."""
        return self._select(*within(scope, api_keys))

    def get(self, key_id: str, scope: Scope) -> ApiKey | None:
        """The key of that id within the scope."""
        found = self._select(api_keys.c.id == key_id, *within(scope, api_keys)) if is_id(key_id) else []
        return found[0] if found else None

    def revoke(self, key_id: str, scope: Scope, by: By = SYSTEM) -> bool:
        """Revoke a key by its id or its prefix; False where there is no such key within the scope."""
        statement = sa.update(api_keys).where(*_living(key_id, scope)).values(revoked_at=utcnow())
        with self._database.transaction() as connection:
            revoked = connection.execute(statement.returning(api_keys)).all()
            for row in revoked:
                before = _told(Scope(row.organization, row.workspace, row.user_id), row.expires_at)
                after = {"revoked": True}
                record(connection, by, Change(Act.REVOKE_KEY, _subject(row.prefix), before, after, row.organization))
        return bool(revoked)

    def note_used(self, key_ids: Collection[str]) -> None:
        """These keys were used just now."""
        statement = sa.update(api_keys).where(api_keys.c.id.in_(sorted(key_ids))).values(last_used_at=utcnow())
        with self._database.transaction() as connection:
            connection.execute(statement)

    def _select(self, *conditions: sa.ColumnElement[bool]) -> list[ApiKey]:
        query = (
            sa.select(api_keys, organizations.c.plan)
            .join(organizations, organizations.c.name == api_keys.c.organization, isouter=True)
            .where(*conditions)
            .order_by(api_keys.c.id.desc())
        )
        with self._database.snapshot() as connection:
            return [_key(row) for row in connection.execute(query)]


def _living(key_id: str, scope: Scope) -> list[sa.ColumnElement[bool]]:
    """The key by its id or its prefix, within the scope, if it was not revoked."""
    named = sa.or_(api_keys.c.id == key_id if is_id(key_id) else sa.false(), api_keys.c.prefix == key_id)
    return [named, api_keys.c.revoked_at.is_(None), *within(scope, api_keys)]


def _insert(connection: sa.Connection, name: str, role: Role, scope: Scope, expires_at: datetime | None) -> str:
    secret = PREFIX + secrets.token_urlsafe(32)
    row = {
        "id": new_id(),
        "name": name,
        "prefix": _shown(secret),
        "hash": digest(secret),
        "organization": scope.organization,
        "workspace": scope.workspace,
        "user_id": scope.user,
        "role": role,
        "created_at": utcnow(),
        "expires_at": expires_at,
    }
    connection.execute(sa.insert(api_keys).values(row))
    return secret


def _shown(secret: str) -> str:
    """The beginning of a key, by which lists and records name it."""
    return secret[: len(PREFIX) + 8]


def _subject(key: str) -> str:
    """What a key is called on record."""
    return f"key:{_shown(key)}"


def _told(scope: Scope, expires_at: datetime | None) -> dict[str, Any]:
    """What a record says of a key."""
    return {**asdict(scope), "expires_at": None if expires_at is None else expires_at.isoformat()}


def digest(secret: str) -> str:
    """SHA-256 in hex. A key has 256 random bits, so it needs neither salt nor stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    scope = Scope(row.organization, row.workspace, row.user_id)
    times = (row.created_at, row.revoked_at, row.expires_at, row.last_used_at)
    return ApiKey(row.id, row.name, row.prefix, scope, Role(row.role), row.plan, *times)
