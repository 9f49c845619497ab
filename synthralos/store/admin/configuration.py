"""What operators change while everything runs: flags, limits, deployments, aliases: each change is counted and kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.audit import Act
from synthralos.domain.budgets import Budget
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.policies import PolicySet
from synthralos.domain.run_caps import RunCaps
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.budgets import read_budgets
from synthralos.store.admin.changing import changing, upsert
from synthralos.store.admin.policies import Outdated, read_policies
from synthralos.store.admin.run_caps import read_run_caps
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import (
    aliases,
    config_version,
    deployments,
    feature_flags,
    organization_limits,
    organization_retention,
    plan_limits,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Set(Generic[Value]):
    """A value that somebody set, and when. `version`, of deployments and aliases: the change that set it."""

    value: Value
    changed_at: datetime
    changed_by: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """All that was set, by name; what was not is at its default. `version` counts the changes."""

    version: int
    flags: Mapping[str, Set[FlagState]]
    limits: Mapping[str, Set[dict[str, Any]]]
    deployments: Mapping[str, Set[dict[str, Any]]]
    own_limits: Mapping[str, Set[dict[str, Any]]] = field(default_factory=dict)
    policies: tuple[PolicySet, ...] = ()
    aliases: Mapping[str, Set[list[str]]] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    run_caps: tuple[RunCaps, ...] = ()
    retention: Mapping[str, Set[dict[str, float]]] = field(default_factory=dict)


NOTHING_STORED = Stored(0, {}, {}, {})


class Names(NamedTuple):
    """What the database holds of the catalog: the targets of its aliases, and its deployments' entries, by name."""

    aliases: Mapping[str, list[str]]
    deployments: Mapping[str, dict[str, Any]]


Check = Callable[[Names, Names], None]
"""Raises for a change that must not be; it is given what there was before and what there would be afterwards."""


class _Kind(NamedTuple):
    """A table of values by name, how a row's value is shown, what it is called on record, and which acts there are."""

    table: sa.Table
    shown: Callable[[Any], dict[str, Any]]
    subject: str
    set: Act
    reset: Act

    @property
    def key(self) -> sa.Column[str]:
        """The column of the names."""
        [key] = self.table.primary_key.columns
        return key


_FLAGS = _Kind(feature_flags, lambda row: _state(row)._asdict(), "flag", Act.SET_FLAG, Act.RESET_FLAG)
_LIMITS = _Kind(plan_limits, lambda row: row.limits, "limits", Act.SET_LIMITS, Act.RESET_LIMITS)
_OWN_LIMITS = _Kind(
    organization_limits, lambda row: row.limits, "organization_limits", Act.SET_OWN_LIMITS, Act.RESET_OWN_LIMITS
)
_RETENTION = _Kind(
    organization_retention, lambda row: row.days, "organization_retention", Act.SET_RETENTION, Act.RESET_RETENTION
)
_ALIASES = _Kind(aliases, lambda row: {"targets": row.targets}, "alias", Act.SET_ALIAS, Act.REMOVE_ALIAS)
_DEPLOYMENTS = _Kind(deployments, lambda row: row.entry, "deployment", Act.SET_DEPLOYMENT, Act.REMOVE_DEPLOYMENT)


class Configuration:
    """Reads and changes it. What processes make of it is theirs: see `synthralos.live_config`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> int:
        """How many changes there were."""
        with self._database.snapshot() as connection:
            return connection.execute(sa.select(config_version.c.version)).scalar() or 0

    def read(self) -> Stored:
        """All of it. A change that comes meanwhile may be in it or not; its version is newer than this one."""
        version = self.version()
        with self._database.snapshot() as connection:
            flags = {row.name: _set(row, _state(row)) for row in connection.execute(sa.select(feature_flags))}
            limits = {row.plan: _set(row, row.limits) for row in connection.execute(sa.select(plan_limits))}
            entries = {row.id: _set(row, row.entry) for row in connection.execute(sa.select(deployments))}
            own = {
                row.organization: _set(row, row.limits) for row in connection.execute(sa.select(organization_limits))
            }
            policies, budgets = read_policies(connection), read_budgets(connection)
            caps = read_run_caps(connection)
            kept = {
                row.organization: _set(row, row.days) for row in connection.execute(sa.select(organization_retention))
            }
            named = {row.name: _set(row, row.targets) for row in connection.execute(sa.select(aliases))}
        return Stored(version, flags, limits, entries, own, policies, named, budgets, caps, kept)

    def set_flag(self, flag: Flag, state: FlagState, by: By) -> None:
        """Have the flag stand so."""
        self._put(_FLAGS, flag, state._asdict(), state._asdict(), by)

    def reset_flag(self, flag: Flag, by: By) -> bool:
        """Let the flag be at its default again; False where it was."""
        return self._drop(_FLAGS, flag, by) is True

    def set_limits(self, plan: AccountPlan, limits: Mapping[str, Any], by: By) -> None:
        """Have the plan's limits be these; a name that is left out is at its default."""
        self._put(_LIMITS, plan, {"limits": dict(limits)}, limits, by)

    def reset_limits(self, plan: AccountPlan, by: By) -> bool:
        """Let the plan's limits be at their default again; False where they were."""
        return self._drop(_LIMITS, plan, by) is True

    def set_own_limits(self, organization: str, limits: Mapping[str, Any], by: By) -> None:
        """Have the organization's limits be these; a name that is left out is its plan's."""
        self._put(_OWN_LIMITS, organization, {"limits": dict(limits)}, limits, by)

    def reset_own_limits(self, organization: str, by: By) -> bool:
        """Let the organization have its plan's limits again; False where it had."""
        return self._drop(_OWN_LIMITS, organization, by) is True

    def set_retention(self, organization: str, days: Mapping[str, float], by: By) -> None:
        """Have these be the organization's own times, by kind; one that is left out is the installation's."""
        self._put(_RETENTION, organization, {"days": dict(days)}, days, by)

    def reset_retention(self, organization: str, by: By) -> bool:
        """Let the organization have the installation's times again; False where it had."""
        return self._drop(_RETENTION, organization, by) is True

    def set_deployment(
        self,
        deployment_id: str,
        entry: Mapping[str, Any],
        by: By,
        expected: int | None = None,
        check: Check | None = None,
    ) -> Outdated | None:
        """Have the catalog hold this entry, in place of the file's or beside those.

        `expected`: the version that the change was made of, 0 where there was none; None changes any. Raises what
        `check` raises, and then nothing is changed.
        """
        return self._put(_DEPLOYMENTS, deployment_id, {"entry": dict(entry)}, entry, by, expected, check)

    def remove_deployment(
        self, deployment_id: str, by: By, expected: int | None = None, check: Check | None = None
    ) -> bool | Outdated:
        """Let the catalog be the file's again in this; False where it was."""
        return self._drop(_DEPLOYMENTS, deployment_id, by, expected, check)

    def set_alias(
        self, name: str, targets: Sequence[str], by: By, expected: int | None = None, check: Check | None = None
    ) -> Outdated | None:
        """Have the alias stand for these, whatever the catalog file says of it; see `set_deployment`."""
        said = {"targets": list(targets)}
        return self._put(_ALIASES, name, said, said, by, expected, check)

    def remove_alias(
        self, name: str, by: By, expected: int | None = None, check: Check | None = None
    ) -> bool | Outdated:
        """Let the alias be the file's again; False where it was."""
        return self._drop(_ALIASES, name, by, expected, check)

    def _put(
        self,
        kind: _Kind,
        name: str,
        columns: Mapping[str, Any],
        after: Mapping[str, Any],
        by: By,
        expected: int | None = None,
        check: Check | None = None,
    ) -> Outdated | None:
        values = {**columns, "changed_at": utcnow(), "changed_by": by.actor}
        with changing(self._database) as connection:
            row = self._row(connection, kind, name)
            if expected not in (None, _version(row)):
                return Outdated(_version(row))
            if "version" in kind.table.c:
                values["version"] = sa.select(config_version.c.version).scalar_subquery()
            statement = upsert(connection, kind.table, {kind.key.name: name, **values}, values)
            with _checking(connection, check):
                connection.execute(statement)
            before = None if row is None else kind.shown(row)
            record(connection, by, Change(kind.set, f"{kind.subject}:{name}", before, dict(after)))
        return None

    def _drop(
        self, kind: _Kind, name: str, by: By, expected: int | None = None, check: Check | None = None
    ) -> bool | Outdated:
        with changing(self._database) as connection:
            row = self._row(connection, kind, name)
            if row is None:
                return False
            if expected not in (None, _version(row)):
                return Outdated(_version(row))
            with _checking(connection, check):
                connection.execute(sa.delete(kind.table).where(kind.key == name))
            record(connection, by, Change(kind.reset, f"{kind.subject}:{name}", kind.shown(row)))
        return True

    @staticmethod
    def _row(connection: sa.Connection, kind: _Kind, name: str) -> Any:
        return connection.execute(sa.select(kind.table).where(kind.key == name)).one_or_none()


@contextmanager
def _checking(connection: sa.Connection, check: Check | None) -> Iterator[None]:
    """Around a change, in its transaction: changes come one by one, so that no two pass the check together."""
    before = None if check is None else _names(connection)
    yield
    if check is not None and before is not None:
        check(before, _names(connection))


def _names(connection: sa.Connection) -> Names:
    named = connection.execute(sa.select(aliases.c.name, aliases.c.targets))
    entries = connection.execute(sa.select(deployments.c.id, deployments.c.entry))
    return Names({row.name: row.targets for row in named}, {row.id: row.entry for row in entries})


def _version(row: Any) -> int:
    """Of a row that may not be there, or have none."""
    return 0 if row is None else getattr(row, "version", 0)


def _state(row: Any) -> FlagState:
    return FlagState(row.enabled, row.percentage)


def _set(row: Any, value: Value) -> Set[Value]:
    return Set(value, row.changed_at, row.changed_by, _version(row))
