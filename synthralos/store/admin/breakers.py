"""The state of circuit breakers that all workers share. Each change locks its row, so changes come one by one."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.breakers import Breaker, BreakerState, closed, opened, probed, probing, unused
from synthralos.domain.happenings import BreakerClosed, BreakerOpened, Happening, Told
from synthralos.domain.ids import new_id
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.changing import upsert
from synthralos.store.queue.happenings import tell
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import breaker_changes, breakers

Step = Callable[[Breaker, datetime], Breaker | None]

_MOST_CHANGES = 1000
"""Changes that are kept of one breaker: one that flaps for weeks fills no disk."""


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """One change of state, and who made it: a process's id, or an operator."""

    id: str
    at: datetime
    name: str
    before: BreakerState
    after: BreakerState
    actor: str
    reason: str


class BreakerStore:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def broken(self, name: str, reason: str, actor: str) -> Breaker:
        """A worker found that it does not work."""
        return self._change(name, actor, lambda breaker, now: opened(breaker, now, reason))

    def claim_probe(self, name: str, actor: str) -> bool:
        """Have a probe for a job of this worker; False where there is none to be had now."""
        handed_out = False

        def change(breaker: Breaker, now: datetime) -> Breaker | None:
            nonlocal handed_out
            after = probing(breaker, now)
            handed_out = after is not None
            return after

        self._change(name, actor, change)
        return handed_out

    def probed(self, name: str, failure: str | None, actor: str) -> Breaker:
        """A probe passed, or failed with `failure`."""
        return self._change(name, actor, lambda breaker, now: probed(breaker, now, failure))

    def unused(self, name: str, actor: str) -> Breaker:
        """A probe that was handed out is not made."""
        return self._change(name, actor, lambda breaker, now: unused(breaker))

    def renewed(self, name: str, actor: str) -> Breaker:
        """The key that it stands for was replaced: what was seen of the old one is forgotten."""
        return self._change(name, actor, lambda old, now: closed(old, now, "the key was replaced", forgiven=True))

    def reset(self, name: str, by: By) -> Breaker | None:
        """An operator has it closed, whatever was seen; None: it was never open. One that is closed stays as it is."""
        with self._database.transaction() as connection:
            if connection.execute(sa.select(breakers.c.name).where(breakers.c.name == name)).first() is None:
                return None
            before, after = _changed(
                connection, name, by.actor, lambda old, now: closed(old, now, by.reason, forgiven=True)
            )
            if after != before:
                told = {"state": str(before.state), "reason": before.reason}
                record(connection, by, Change(Act.RESET_BREAKER, f"breaker:{name}", told, {"state": str(after.state)}))
        return after

    def get(self, name: str) -> Breaker | None:
        """One breaker; None: it was never open."""
        with self._database.snapshot() as connection:
            row = connection.execute(sa.select(breakers).where(breakers.c.name == name)).first()
        return None if row is None else _breaker(row)

    def shut(self) -> tuple[list[Breaker], datetime]:
        """Those that are not closed, and the database's time."""
        with self._database.snapshot() as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
            rows = connection.execute(sa.select(breakers).where(breakers.c.state != str(BreakerState.CLOSED))).all()
        return [_breaker(row) for row in rows], now

    def all(self) -> list[Breaker]:
        """Every breaker that was ever open, by name."""
        with self._database.snapshot() as connection:
            return [_breaker(row) for row in connection.execute(sa.select(breakers).order_by(breakers.c.name))]

    def changes(self, name: str | None, limit: int, before: str | None = None) -> Sequence[BreakerChange]:
        """Changes of one breaker or of all, newest first; `before` is the id of the last one that was read."""
        query = sa.select(breaker_changes).order_by(breaker_changes.c.id.desc()).limit(limit)
        if name is not None:
            query = query.where(breaker_changes.c.name == name)
        if before is not None:
            query = query.where(breaker_changes.c.id < before)
        with self._database.snapshot() as connection:
            return [_change(row) for row in connection.execute(query)]

    def _change(self, name: str, actor: str, change: Step) -> Breaker:
        with self._database.transaction() as connection:
            return _changed(connection, name, actor, change)[1]


def _changed(connection: sa.Connection, name: str, actor: str, change: Step) -> tuple[Breaker, Breaker]:
    """The breaker before and after."""
    before = _locked(connection, name)
    now = connection.execute(sa.select(utcnow())).scalar_one()
    after = change(before, now) or before
    if after != before:
        values = {**asdict(after), "state": str(after.state)}
        connection.execute(sa.update(breakers).where(breakers.c.name == name).values(values))
    if after.state is not before.state:
        _record(connection, before, after, actor, now)
    return before, after


def _locked(connection: sa.Connection, name: str) -> Breaker:
    first = {"name": name, "state": str(BreakerState.CLOSED), "since": utcnow(), "reason": ""}
    # Setting the name to itself takes the row's lock on both databases.
    statement = upsert(connection, breakers, first, {"name": name})
    return _breaker(connection.execute(statement.returning(*breakers.c)).one())


def _record(connection: sa.Connection, before: Breaker, after: Breaker, actor: str, now: datetime) -> None:
    row = {"id": new_id(), "at": now, "name": after.name, "before": str(before.state), "after": str(after.state)}
    connection.execute(sa.insert(breaker_changes).values(**row, actor=actor, reason=after.reason))
    if (told := _told(before, after)) is not None:
        tell(connection, [Happening.of(told, after.name, actor)])
    mine = breaker_changes.c.name == after.name
    kept = sa.select(breaker_changes.c.id).where(mine).order_by(breaker_changes.c.id.desc())
    oldest = kept.offset(_MOST_CHANGES).limit(1).scalar_subquery()
    connection.execute(sa.delete(breaker_changes).where(mine, breaker_changes.c.id <= oldest))


def _told(before: Breaker, after: Breaker) -> Told | None:
    """What people are told of a change of state; nothing of probes."""
    if after.state is BreakerState.OPEN:
        return BreakerOpened(name=after.name, before=str(before.state), reason=after.reason)
    return BreakerClosed(name=after.name, reason=after.reason) if after.state is BreakerState.CLOSED else None


def _breaker(row: sa.Row[Any]) -> Breaker:
    return Breaker(**{**row._mapping, "state": BreakerState(row.state)})


def _change(row: sa.Row[Any]) -> BreakerChange:
    return BreakerChange(**{**row._mapping, "before": BreakerState(row.before), "after": BreakerState(row.after)})
