"""Schedules as people write them: made, changed, paused, resumed, removed, and listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.firings import Outcome
from synthralos.domain.schedules import Schedule
from synthralos.domain.scope import Scope
from synthralos.domain.ticks import Tick, next_tick
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.policies import Outdated
from synthralos.store.queue.idempotency import make_once
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utcnow, word
from synthralos.store.tables import backfills, firings, schedules

_COLUMNS = ("id", "organization", "workspace", "user", "name", "paused", "pause_note")
"""Members of a schedule that are columns, and no part of the document."""

_TIMING = ("cron", "interval_seconds", "time_zone", "start", "end", "jitter_seconds", "exclusions")


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule, and how it stands. `next_due_at` is when its next tick is due, with jitter and backoff."""

    schedule: Schedule
    owner: str
    version: int
    revision: int
    failures: int
    backoff_until: datetime | None
    next_fire_at: datetime | None
    next_due_at: datetime | None
    created_at: datetime
    changed_at: datetime
    changed_by: str

    @property
    def id(self) -> str:
        """The schedule's."""
        return self.schedule.id

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        names = ("owner", "version", "failures", "changed_by")
        times = ("backoff_until", "next_fire_at", "next_due_at", "created_at", "changed_at")
        stands = {name: getattr(self, name) for name in names}
        moments = {name: getattr(self, name) for name in times}
        return {
            **self.schedule.to_json(),
            **stands,
            **{name: None if each is None else each.isoformat() for name, each in moments.items()},
        }


class Schedules:
    """Each change is one transaction, and on record. A scope sees its own schedules alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, scope: Scope, after: str | None = None, limit: int = 1_000) -> Sequence[StoredSchedule]:
        """At most `limit` schedules, oldest first, those after the one with that id."""
        query = sa.select(schedules).where(*within(scope, schedules)).order_by(schedules.c.id).limit(limit)
        if after is not None:
            query = query.where(schedules.c.id > after)
        with self._database.snapshot() as connection:
            return [stored_schedule(row) for row in connection.execute(query)]

    def get(self, schedule_id: str, scope: Scope) -> StoredSchedule | None:
        """The schedule as it is now."""
        with self._database.snapshot() as connection:
            return _found(connection, schedule_id, scope)

    def create(self, schedule: Schedule, by: By) -> StoredSchedule:
        """A new one, which its maker has checked."""
        with self._database.transaction() as connection:
            make_once(connection, by.once, schedule.id)
            first = next_tick(schedule, _now(connection))
            values = {
                "id": schedule.id,
                "organization": schedule.organization,
                "workspace": schedule.workspace,
                "user_id": schedule.user,
                "owner": by.actor,
                "paused": False,
                "pause_note": "",
                "failures": 0,
                "created_at": utcnow(),
                "version": 1,
                "revision": 1,
            }
            connection.execute(sa.insert(schedules).values({**values, **_written(schedule, by), **_next(first)}))
            return self._recorded(connection, Act.CREATE_SCHEDULE, None, schedule, by)

    def replace(self, schedule: Schedule, by: By, expected: int | None = None) -> StoredSchedule | Outdated | None:
        """Have a schedule be this one; whose it is, and whether it is paused, stays.

        `expected`: the version that the change was made of; None changes any. The tick that comes next stays where
        nothing was said about times: it may be due right now.
        """
        with self._database.transaction() as connection:
            before = _locked(connection, schedule.id)
            if before is None or expected not in (None, before.version):
                return None if before is None else Outdated(before.version)
            values = {**_written(schedule, by), "version": before.version + 1}
            if not before.schedule.paused and _timing(before.schedule) != _timing(schedule):
                values |= _next(next_tick(schedule, _now(connection)), before.backoff_until)
            _update(connection, schedule.id, values)
            return self._recorded(connection, Act.CHANGE_SCHEDULE, before, schedule, by)

    def pause(self, schedule_id: str, scope: Scope, note: str, by: By) -> StoredSchedule | None:
        """Have it fire no more; `note` says why. Pausing it again changes the note."""
        with self._database.transaction() as connection:
            before = _locked(connection, schedule_id, scope)
            if before is None:
                return None
            _update(connection, schedule_id, {"paused": True, "pause_note": note, **_next(None)})
            after = replace(before.schedule, paused=True, pause_note=note)
            return self._recorded(connection, Act.PAUSE_SCHEDULE, before, after, by)

    def resume(self, schedule_id: str, scope: Scope, by: By) -> StoredSchedule | None:
        """Have it fire again, from now on: what fell into the pause was not missed. Its failures are forgotten."""
        with self._database.transaction() as connection:
            before = _locked(connection, schedule_id, scope)
            if before is None or not before.schedule.paused:
                return before
            values = {"paused": False, "pause_note": "", "failures": 0, "backoff_until": None}
            _update(connection, schedule_id, {**values, **_next(next_tick(before.schedule, _now(connection)))})
            after = replace(before.schedule, paused=False, pause_note="")
            return self._recorded(connection, Act.RESUME_SCHEDULE, before, after, by)

    def remove(
        self, schedule_id: str, scope: Scope, by: By, expected: int | None = None
    ) -> StoredSchedule | Outdated | None:
        """Remove it, and give it as it was. What waits is dropped; jobs that run go on."""
        with self._database.transaction() as connection:
            before = _locked(connection, schedule_id, scope)
            if before is None or expected not in (None, before.version):
                return None if before is None else Outdated(before.version)
            connection.execute(sa.delete(schedules).where(schedules.c.id == schedule_id))
            waiting = (firings.c.schedule_id == schedule_id, firings.c.outcome == word(Outcome.WAITING))
            values = {"outcome": str(Outcome.SKIPPED), "reason": "the schedule was removed"}
            connection.execute(sa.update(firings).where(*waiting).values(values))
            running = (backfills.c.schedule_id == schedule_id, backfills.c.done_at.is_(None))
            connection.execute(sa.update(backfills).where(*running).values(done_at=utcnow()))
            _record(connection, Act.REMOVE_SCHEDULE, before.schedule, None, by)
            return before

    def _recorded(
        self, connection: sa.Connection, act: Act, before: StoredSchedule | None, after: Schedule, by: By
    ) -> StoredSchedule:
        _record(connection, act, None if before is None else before.schedule, after, by)
        found = _found(connection, after.id, Scope())
        assert found is not None
        return found


def stored_schedule(row: Any) -> StoredSchedule:
    """The schedule in a row of the table."""
    columns = {
        "id": row.id, "organization": row.organization, "workspace": row.workspace, "user": row.user_id,
        "name": row.name, "paused": row.paused, "pause_note": row.pause_note,
    }  # fmt: skip
    return StoredSchedule(
        Schedule.from_json({**row.document, **columns}), row.owner, row.version, row.revision, row.failures,
        row.backoff_until, row.next_fire_at, row.next_due_at, row.created_at, row.changed_at, row.changed_by,
    )  # fmt: skip


def record_act(connection: sa.Connection, act: Act, schedule: Schedule, after: Mapping[str, Any], by: By) -> None:
    """Put on record what was done with a schedule that stays as it is written."""
    record(connection, by, Change(act, f"schedule:{schedule.id}", None, after, schedule.organization))


def _found(connection: sa.Connection, schedule_id: str, scope: Scope, *, lock: bool = False) -> StoredSchedule | None:
    query = sa.select(schedules).where(schedules.c.id == schedule_id, *within(scope, schedules))
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else stored_schedule(row)


def _locked(connection: sa.Connection, schedule_id: str, scope: Scope | None = None) -> StoredSchedule | None:
    return _found(connection, schedule_id, scope or Scope(), lock=True)


def _update(connection: sa.Connection, schedule_id: str, values: Mapping[str, Any]) -> None:
    changed = sa.update(schedules).where(schedules.c.id == schedule_id)
    connection.execute(changed.values({**values, "revision": schedules.c.revision + 1}))


def _written(schedule: Schedule, by: By) -> dict[str, Any]:
    document = {name: value for name, value in schedule.to_json().items() if name not in _COLUMNS}
    return {"name": schedule.name, "document": document, "changed_at": utcnow(), "changed_by": by.actor}


def _next(tick: Tick | None, held_until: datetime | None = None) -> dict[str, Any]:
    if tick is None:
        return {"next_fire_at": None, "next_due_at": None}
    due_at = tick.due_at if held_until is None else max(tick.due_at, held_until)
    return {"next_fire_at": tick.fire_at, "next_due_at": due_at}


def _timing(schedule: Schedule) -> list[Any]:
    return [getattr(schedule, name) for name in _TIMING]


def _now(connection: sa.Connection) -> datetime:
    now: datetime = connection.execute(sa.select(utcnow())).scalar_one()
    return now


def _record(connection: sa.Connection, act: Act, before: Schedule | None, after: Schedule | None, by: By) -> None:
    schedule = after or before
    assert schedule is not None
    was, now = (None if each is None else _public(each) for each in (before, after))
    record(connection, by, Change(act, f"schedule:{schedule.id}", was, now, schedule.organization))


def _public(schedule: Schedule) -> dict[str, Any]:
    """As it goes on record: of the jobs a digest alone, because prompts are not kept longer than their tenant says."""
    said = schedule.to_json()
    jobs = orjson.dumps([said.pop("job"), said.pop("steps")])
    return {**said, "jobs_sha256": sha256(jobs).hexdigest()}
