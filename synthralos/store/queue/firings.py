"""What the leader of the schedulers reads and writes to fire schedules: ticks and their jobs in one transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.firings import Outcome
from synthralos.domain.jobs import NewJob
from synthralos.store.admin.audit import By
from synthralos.store.admin.schedules import StoredSchedule, record_act, stored_schedule
from synthralos.store.queue.idempotency import make_once
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.queue.submissions import Submissions
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import Columns, Row, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, Json, asked_at, encode_time, one_of, utcnow, word
from synthralos.store.tables import firings, open_jobs, organizations, schedules

BROKEN_SECONDS = 60
"""Until a schedule that cannot be read is looked at again."""

_FIRING: Columns = {
    "schedule_id": Id, "fire_at": firings.c.fire_at.type, "organization": sa.Text(), "outcome": sa.Text(),
    "reason": sa.Text(), "job_ids": Json, "run_id": sa.Text(), "backfill_id": Id, "lateness_ms": sa.Integer(),
}  # fmt: skip
_MOVE: Columns = {
    "id": Id, "revision": sa.BigInteger(), "next_fire_at": firings.c.fire_at.type,
    "next_due_at": firings.c.fire_at.type,
}  # fmt: skip
STARTED = one_of(firings.c.outcome, (Outcome.FIRED, Outcome.BACKFILL))


class NewFiring(NamedTuple):
    """What is to become of one tick. `lateness` in seconds, for ticks that fire; None for others."""

    schedule_id: str
    fire_at: datetime
    organization: str
    outcome: Outcome
    reason: str = ""
    jobs: Sequence[NewJob] = ()
    run_id: str | None = None
    backfill_id: str | None = None
    lateness: float | None = None

    @property
    def key(self) -> tuple[str, datetime]:
        """What no two firings have alike."""
        return self.schedule_id, self.fire_at


class Move(NamedTuple):
    """Everything before `next_fire_at` is decided about, if nobody has written the schedule since `revision`."""

    schedule_id: str
    revision: int
    next_fire_at: datetime | None
    next_due_at: datetime | None


class Ready(NamedTuple):
    """A schedule that is due, and the account plan of its organization."""

    stored: StoredSchedule
    plan: str


class Broken(NamedTuple):
    """A schedule that this release does not understand."""

    move: Move
    problem: str


class Found(NamedTuple):
    """What was read at `now`, the database's time; `due_at`: when the first of all schedules is due."""

    now: datetime
    ready: list[Ready]
    broken: list[Broken]
    due_at: datetime | None


class Busy(NamedTuple):
    """`live`: jobs of earlier firings that have not ended. `waiting`: so many ticks wait for that."""

    live: Sequence[str] = ()
    waiting: int = 0


class Firings:
    """Reads what is due and writes what became of it. Any number may do so at once: each tick fires once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._submissions = Submissions(database)
        self._insert = _insert(database.dialect)
        self._move = _move(database.dialect)
        ids = recordset(database.dialect, "ids", {"id": Id})
        self._busy = _busy(database.dialect, ids)
        # Asked id by id, within the columns: of a join, a planner without statistics reads the whole table first.
        here = sa.select(sa.literal(1)).where(open_jobs.c.id == ids.c.id).correlate(ids).scalar_subquery()
        self._still = sa.select(ids.c.id, here)
        self._these = _with_plan().where(schedules.c.id == ids.c.id)

    def due(self, limit: int) -> Found:
        """The schedules that are due by the database's clock, those first that have been for longest."""
        first = sa.select(sa.func.min(schedules.c.next_due_at)).where(schedules.c.next_due_at.is_not(None))
        ready = _with_plan().where(schedules.c.next_due_at <= asked_at(sa.literal(0.0)))
        with self._database.snapshot() as connection:
            rows = connection.execute(ready.order_by(schedules.c.next_due_at).limit(limit)).all()
            now, due_at = connection.execute(sa.select(utcnow(), first.scalar_subquery())).one()
        return _read(rows, now, due_at)

    def these(self, schedule_ids: Sequence[str]) -> Found:
        """Those of the schedules that are still there, due or not."""
        with self._database.snapshot() as connection:
            rows = connection.execute(self._these, {"ids": encode_rows({"id": each} for each in schedule_ids)}).all()
            return _read(rows, connection.execute(sa.select(utcnow())).scalar_one(), None)

    def busy(self, schedule_ids: Sequence[str]) -> dict[str, Busy]:
        """What of these schedules still runs or waits; those that are idle are left out."""
        if not schedule_ids:
            return {}
        rows = {"ids": encode_rows({"id": each} for each in schedule_ids)}
        with self._database.snapshot() as connection:
            found = connection.execute(self._busy, rows).all()
            jobs = {row.id: [job_id for ids in row.job_ids or () for job_id in ids] for row in found}
            asked = encode_rows({"id": job_id} for each in jobs.values() for job_id in each)
            still = (
                {row[0] for row in connection.execute(self._still, {"ids": asked}) if row[1]}
                if any(jobs.values())
                else ()
            )
        busy = {row.id: Busy([each for each in jobs[row.id] if each in still], row.waiting) for row in found}
        return {schedule_id: each for schedule_id, each in busy.items() if each.live or each.waiting}

    def decide(self, lead: Lead, moves: Sequence[Move], decided: Sequence[NewFiring]) -> list[NewFiring] | None:
        """Write what became of ticks, and their jobs: all of it or nothing. None: this process does not lead any more.

        What somebody else has decided about, or whose schedule was written meanwhile, is left out of the answer.
        """
        rows = [_move_row(move) for move in sorted(moves)]
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            moved = set(connection.execute(self._move, {"rows": encode_rows(rows)}).scalars())
            return self.insert(connection, [firing for firing in decided if firing.schedule_id in moved])

    def insert(self, connection: sa.Connection, decided: Sequence[NewFiring]) -> list[NewFiring]:
        """The firings that were not there before, stored with their jobs."""
        if not decided:
            return []
        rows = encode_rows(firing_row(firing) for firing in decided)
        new = {(schedule_id, at) for schedule_id, at in connection.execute(self._insert, {"rows": rows})}
        stored = [firing for firing in decided if firing.key in new]
        self._submissions.insert(connection, [job for firing in stored for job in firing.jobs])
        return stored

    def begin(
        self, connection: sa.Connection, firing: NewFiring, outcomes: Iterable[Outcome] = (Outcome.WAITING,)
    ) -> bool:
        """Have the jobs of a firing that has one of the `outcomes` start now; whether it still had."""
        mine = firings.c.schedule_id == firing.schedule_id, firings.c.fire_at == firing.fire_at
        values = {
            "outcome": str(firing.outcome),
            "reason": firing.reason,
            "job_ids": [job.id for job in firing.jobs],
            "run_id": firing.run_id,
            "backfill_id": firing.backfill_id,
            "lateness_ms": _milliseconds(firing.lateness),
            "decided_at": utcnow(),
        }
        begun = sa.update(firings).where(*mine, one_of(firings.c.outcome, outcomes)).values(values)
        if connection.execute(begun.returning(firings.c.schedule_id)).one_or_none() is None:
            return False
        self._submissions.insert(connection, firing.jobs)
        return True

    def run_now(self, stored: StoredSchedule, firing: NewFiring, by: By) -> bool:
        """Have it fire once beside its ticks, on record; whether no other firing has that very time."""
        with self._database.transaction() as connection:
            if not self.insert(connection, [firing]):
                return False
            make_once(connection, by.once, firing.fire_at.isoformat())
            said = {"fire_at": firing.fire_at.isoformat(), "jobs": [job.id for job in firing.jobs]}
            record_act(connection, Act.RUN_SCHEDULE, stored.schedule, said, by)
        return True

    def page(
        self, schedule_id: str, before: datetime | None, limit: int, outcome: Outcome | None = None
    ) -> list[dict[str, Any]]:
        """What became of the schedule's ticks, the newest first, those before that time; columns of `firings`."""
        query = sa.select(firings).where(firings.c.schedule_id == schedule_id)
        if before is not None:
            query = query.where(firings.c.fire_at < before)
        if outcome is not None:
            query = query.where(firings.c.outcome == word(outcome))
        with self._database.snapshot() as connection:
            return [
                dict(row)
                for row in connection.execute(query.order_by(firings.c.fire_at.desc()).limit(limit)).mappings()
            ]

    def start_waiting(self, lead: Lead, waiting: Sequence[NewFiring]) -> list[NewFiring] | None:
        """Have the jobs of ticks that waited start; those that did. None: this process does not lead any more."""
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            return [firing for firing in waiting if self.begin(connection, firing)]


def _with_plan() -> Any:
    plan = sa.func.coalesce(organizations.c.plan, "free").label("plan")
    joined = schedules.outerjoin(organizations, organizations.c.name == schedules.c.organization)
    return sa.select(schedules, plan).select_from(joined)


def _read(rows: Sequence[Any], now: datetime, due_at: datetime | None) -> Found:
    """One that cannot be read keeps nobody else from firing: it is looked at again in a minute."""
    found = Found(now, [], [], due_at)
    for row in rows:
        try:
            found.ready.append(Ready(stored_schedule(row), row.plan))
        except (LookupError, TypeError, ValueError) as error:
            later = Move(row.id, row.revision, row.next_fire_at, now + timedelta(seconds=BROKEN_SECONDS))
            found.broken.append(Broken(later, repr(error)))
    return found


def firing_row(firing: NewFiring) -> Row:
    """A firing as `recordset` takes it."""
    return {
        "schedule_id": firing.schedule_id,
        "fire_at": encode_time(firing.fire_at),
        "organization": firing.organization,
        "outcome": firing.outcome,
        "reason": firing.reason,
        "job_ids": [job.id for job in firing.jobs],
        "run_id": firing.run_id,
        "backfill_id": firing.backfill_id,
        "lateness_ms": _milliseconds(firing.lateness),
    }


def _move_row(move: Move) -> Row:
    return {
        "id": move.schedule_id,
        "revision": move.revision,
        "next_fire_at": encode_time(move.next_fire_at),
        "next_due_at": encode_time(move.next_due_at),
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else min(round(1000 * seconds), 2**31 - 1)


def _busy(dialect: str, ids: Any) -> Any:
    """Of each schedule: the jobs of its firings that are not known to have ended, and how many ticks wait."""
    mine = firings.c.schedule_id == ids.c.id
    waiting = sa.select(sa.func.count()).where(mine, firings.c.outcome == word(Outcome.WAITING))
    if dialect == "postgresql":
        gathered: Any = sa.func.json_agg(firings.c.job_ids, type_=Json)
    else:
        gathered = sa.func.json_group_array(sa.func.json(firings.c.job_ids), type_=Json)
    started = sa.select(gathered).where(mine, STARTED, firings.c.ended.is_(None))
    return sa.select(
        ids.c.id,
        started.correlate(ids).scalar_subquery().label("job_ids"),
        waiting.correlate(ids).scalar_subquery().label("waiting"),
    )


def _insert(dialect: str) -> Any:
    rows = recordset(dialect, "rows", _FIRING)
    insert = insert_ignoring(dialect, firings, [*_FIRING, "decided_at"], sa.select(*rows.c, utcnow()))
    return insert.returning(firings.c.schedule_id, firings.c.fire_at)


def _move(dialect: str) -> Any:
    rows = recordset(dialect, "rows", _MOVE)
    same = schedules.c.id == rows.c.id, schedules.c.revision == rows.c.revision
    values = {
        "next_fire_at": rows.c.next_fire_at,
        "next_due_at": rows.c.next_due_at,
        "revision": schedules.c.revision + 1,
    }
    return sa.update(schedules).where(*same).values(values).returning(schedules.c.id)
