"""Policy sets: each change makes a version, and all versions are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.ids import new_id
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.changing import changing
from synthralos.store.queue.idempotency import make_once
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import policy_matches, policy_sets, policy_versions

Document = Mapping[str, Any]
"""The members of a set that people write: `PolicySet.to_json` without its id, version and scope."""

_SCOPE = ("id", "version", "organization", "workspace")


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version of a policy set; of one that was removed, `policy` is None."""

    number: int
    policy: PolicySet | None
    changed_at: datetime
    changed_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outdated:
    """Somebody has changed the set meanwhile: it is at this version now, and nothing was changed."""

    version: int


class Policies:
    """Reads and changes them. A scope sees its own sets; one without an organization sees all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, scope: Scope) -> Sequence[PolicySet]:
        """The sets of the scope, oldest first."""
        with self._database.snapshot() as connection:
            return read_policies(connection, *_mine(scope, policy_sets))

    def get(self, set_id: str, scope: Scope) -> PolicySet | None:
        """The set as it is now."""
        with self._database.snapshot() as connection:
            found = read_policies(connection, policy_sets.c.id == set_id, *_mine(scope, policy_sets))
        return found[0] if found else None

    def versions(self, set_id: str, scope: Scope) -> Sequence[PolicyVersion]:
        """All versions that there were, newest first; none where there is no such set within the scope."""
        table = policy_versions
        query = sa.select(id_text(table.c.set_id), table).where(table.c.set_id == set_id, *_mine(scope, table))
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(table.c.version.desc())).all()
        return [
            PolicyVersion(row.version, _version(set_id, row), row.changed_at, row.changed_by, row.reason)
            for row in rows
        ]

    def create(
        self,
        document: Document,
        organization: str | None,
        workspace: str | None,
        by: By,
        forced: Sequence[str] = (),
    ) -> PolicySet:
        """A new set at version 1. It is checked by the caller; `forced`: in spite of these warnings."""
        set_id = new_id()
        scope = {"organization": organization, "workspace": workspace}
        with changing(self._database) as connection:
            make_once(connection, by.once, set_id)
            made = _policy(set_id, 1, document, scope)
            row = {"version": 1, "document": _document(made), "changed_at": utcnow(), "changed_by": by.actor}
            connection.execute(sa.insert(policy_sets).values(id=set_id, **scope, **row))
            _keep(connection, made, by)
            _record(connection, Act.CREATE_POLICY, None, made, by, forced)
        return made

    def replace(
        self,
        set_id: str,
        document: Document,
        scope: Scope,
        by: By,
        expected: int | None = None,
        forced: Sequence[str] = (),
    ) -> PolicySet | Outdated | None:
        """Have the set be this. `expected`: the version that the change was made of; None changes any.

        `forced`: in spite of these warnings.
        """
        with changing(self._database) as connection:
            before = _locked(connection, set_id, scope)
            if before is None or expected not in (None, before.version):
                return None if before is None else Outdated(before.version)
            owner = {"organization": before.organization, "workspace": before.workspace}
            after = _policy(set_id, before.version + 1, document, owner)
            values = {"version": after.version, "document": _document(after)}
            values |= {"changed_at": utcnow(), "changed_by": by.actor}
            connection.execute(sa.update(policy_sets).where(policy_sets.c.id == set_id).values(values))
            _keep(connection, after, by)
            _record(connection, Act.CHANGE_POLICY, before, after, by, forced)
        return after

    def remove(self, set_id: str, scope: Scope, by: By, expected: int | None = None) -> PolicySet | Outdated | None:
        """Remove the set, and give it; its versions are kept."""
        with changing(self._database) as connection:
            before = _locked(connection, set_id, scope)
            if before is None or expected not in (None, before.version):
                return None if before is None else Outdated(before.version)
            connection.execute(sa.delete(policy_sets).where(policy_sets.c.id == set_id))
            connection.execute(sa.delete(policy_matches).where(policy_matches.c.set_id == set_id))
            _keep(connection, before, by, removed=True)
            _record(connection, Act.REMOVE_POLICY, before, None, by)
        return before


def read_policies(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> tuple[PolicySet, ...]:
    """The sets that fulfil the conditions, oldest first."""
    query = sa.select(id_text(policy_sets.c.id), policy_sets.c.version, policy_sets.c.document)
    query = query.add_columns(policy_sets.c.organization, policy_sets.c.workspace)
    rows = connection.execute(query.where(*conditions).order_by(policy_sets.c.id)).all()
    return tuple(_policy(row.id, row.version, row.document, _owner(row)) for row in rows)


def _locked(connection: sa.Connection, set_id: str, scope: Scope) -> PolicySet | None:
    """Changes come one by one, so that nobody else changes it meanwhile."""
    found = read_policies(connection, policy_sets.c.id == set_id, *_mine(scope, policy_sets))
    return found[0] if found else None


def _mine(scope: Scope, table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """Sets are nobody's in particular: which user a key is bound to makes no difference."""
    return within(Scope(scope.organization, scope.workspace), table)


def _owner(row: Any) -> dict[str, str | None]:
    return {"organization": row.organization, "workspace": row.workspace}


def _policy(set_id: str, version: int, document: Document, owner: Mapping[str, str | None]) -> PolicySet:
    return PolicySet.from_json({**document, "id": set_id, "version": version, **owner})


def _version(set_id: str, row: Any) -> PolicySet | None:
    return None if row.document is None else _policy(set_id, row.version, row.document, _owner(row))


def _document(policy: PolicySet) -> dict[str, Any]:
    return {name: value for name, value in policy.to_json().items() if name not in _SCOPE}


def _keep(connection: sa.Connection, policy: PolicySet, by: By, *, removed: bool = False) -> None:
    values = {
        "set_id": policy.id,
        "version": policy.version + removed,
        "organization": policy.organization,
        "workspace": policy.workspace,
        "document": None if removed else _document(policy),
        "changed_at": utcnow(),
        "changed_by": by.actor,
        "reason": by.reason,
    }
    connection.execute(sa.insert(policy_versions).values(values))


def _record(
    connection: sa.Connection,
    act: Act,
    before: PolicySet | None,
    after: PolicySet | None,
    by: By,
    forced: Sequence[str] = (),
) -> None:
    policy = after or before
    assert policy is not None
    was, now = (None if each is None else each.to_json() for each in (before, after))
    if now is not None and forced:
        now |= {"forced": list(forced)}
    record(connection, by, Change(act, f"policy:{policy.id}", was, now, policy.organization))
