"""The quotas of providers that all workers share. Each change locks its row, so changes come one by one."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.quota_learning import Learned
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import Ask, Bucket, Declared, Grant, Quota, granted, observed, refused
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.changing import upsert
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import quotas

_MOST = 10_000
"""Quotas that are read at once; catalogs have far fewer credentials and models."""


_LEARNED = frozenset(each.name for each in fields(Learned))


class QuotaStore:
    """Blocks; raises what the store raises. Times are seconds since the epoch, by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, asks: Mapping[Unit, Ask], lefts: Sequence[Left], declared: Declared, asker: str) -> Grant:
        """Take from a quota for a worker, which tells what answers said is left."""
        found: Grant | None = None

        def change(quota: Quota, now: float) -> Quota:
            nonlocal found
            after, found = granted(observed(quota, lefts, now), asks, declared, asker, now)
            return after

        self._change(name, change)
        assert found is not None
        return found

    def refuse(self, name: str, seconds: float | None, reason: str, lefts: Sequence[Left]) -> tuple[Quota, float]:
        """A call was refused; the quota afterwards, and the time."""
        return self._change(name, lambda quota, now: refused(quota, seconds, reason, lefts, now))

    def changed(self, within: float) -> tuple[list[Quota], float]:
        """Those that changed within so many seconds, and the time."""
        return self._read(quotas.c.changed_at > utc_in(-within))

    def all(self) -> tuple[list[Quota], float]:
        """Those of which anything is known, by name, and the time."""
        return self._read(sa.true())

    def get(self, name: str) -> Quota | None:
        """One quota; None: nothing is known of it."""
        found, _ = self._read(quotas.c.name == name)
        return found[0] if found else None

    def reset(self, name: str, by: By) -> Quota | None:
        """An operator has what was learned forgotten, and the quota open; None: nothing is known of it."""
        with self._database.transaction() as connection:
            if connection.execute(sa.select(quotas.c.name).where(quotas.c.name == name)).first() is None:
                return None
            before, now = _locked(connection, name)
            after = Quota(name)
            _write(connection, after, now)
            told = {"closed_until": before.closed_until, "reason": before.reason, "limits": _limits(before)}
            record(connection, by, Change(Act.RESET_QUOTA, f"quota:{name}", told, {}))
        return after

    def _read(self, condition: sa.ColumnElement[bool]) -> tuple[list[Quota], float]:
        query = sa.select(quotas.c.name, quotas.c.state).where(condition).order_by(quotas.c.name).limit(_MOST)
        with self._database.snapshot() as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
            found = [_quota(row.name, row.state) for row in connection.execute(query)]
        return found, now.timestamp()

    def _change(self, name: str, change: Callable[[Quota, float], Quota]) -> tuple[Quota, float]:
        with self._database.transaction() as connection:
            before, now = _locked(connection, name)
            after = change(before, now.timestamp())
            if after != before:
                _write(connection, after, now)
        return after, now.timestamp()


def _locked(connection: sa.Connection, name: str) -> tuple[Quota, datetime]:
    first = {"name": name, "state": {}, "changed_at": utcnow()}
    # Setting the name to itself takes the row's lock on both databases; the time is asked for when it is had.
    statement = upsert(connection, quotas, first, {"name": name})
    row = connection.execute(statement.returning(quotas.c.state, utcnow().label("now"))).one()
    return _quota(name, row.state), row.now


def _write(connection: sa.Connection, quota: Quota, now: datetime) -> None:
    values = {"state": _state(quota), "changed_at": now}
    connection.execute(sa.update(quotas).where(quotas.c.name == quota.name).values(values))


def _state(quota: Quota) -> dict[str, Any]:
    return {
        "buckets": {str(unit): asdict(bucket) for unit, bucket in quota.buckets.items()},
        "closed_until": quota.closed_until,
        "reason": quota.reason,
        "refusals": quota.refusals,
        "learned": _learned_state(quota.learned),
        "askers": dict(quota.askers),
    }


def _quota(name: str, state: Mapping[str, Any]) -> Quota:
    """A row; members that an earlier release did not write are as in a new quota, and unknown units are left out."""
    units = set(Unit)
    buckets = {Unit(u): Bucket(**each) for u, each in state.get("buckets", {}).items() if u in units}
    known = {key: state[key] for key in ("closed_until", "reason", "refusals", "askers") if key in state}
    return Quota(name, buckets, learned=_learned(state.get("learned")), **known)


def _learned_state(learned: Learned | None) -> dict[str, Any] | None:
    """JSON has no infinity: a ceiling that is none is left out."""
    if learned is None:
        return None
    state = asdict(learned)
    return {key: each for key, each in state.items() if each != math.inf}


def _learned(state: Mapping[str, Any] | None) -> Learned | None:
    return None if state is None else Learned(**{key: each for key, each in state.items() if key in _LEARNED})


def _limits(quota: Quota) -> dict[str, int | None]:
    return {str(unit): bucket.limit for unit, bucket in quota.buckets.items()}
