"""How firings end: their jobs are looked after, and schedules that fail are delayed or paused."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.events import Event, SchedulePaused
from synthralos.domain.firings import Ended, Outcome
from synthralos.domain.schedules import Schedule
from synthralos.store.admin.audit import SYSTEM
from synthralos.store.admin.schedules import record_act
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.firings import STARTED
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, word
from synthralos.store.tables import firings, open_jobs, results, schedules


class OpenFiring(NamedTuple):
    """A firing whose jobs are not known to have ended."""

    schedule_id: str
    fire_at: datetime
    job_ids: list[str]
    backfill_id: str | None


class Standing(NamedTuple):
    """How a schedule stands after jobs of it ended, if nobody has written it since `revision`."""

    schedule: Schedule
    revision: int
    failures: int
    backoff_until: datetime | None
    next_due_at: datetime | None
    pause_note: str | None = None
    """Where it pauses by itself: why."""
    last_job_id: str | None = None
    """The job that failed last."""


class Waiting(NamedTuple):
    """The first of the ticks of a schedule that wait."""

    schedule_id: str
    fire_at: datetime
    backfill_id: str | None


class FiringEnds:
    """Reads and writes of the leader, after its ticks have fired."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_events = EVENTS.insert(database.dialect)
        ids = recordset(database.dialect, "ids", {"id": Id})
        joined = ids.outerjoin(results, results.c.job_id == ids.c.id).outerjoin(open_jobs, open_jobs.c.id == ids.c.id)
        # One statement sees each job in one of the two tables, also while it moves from one to the other.
        self._states = sa.select(ids.c.id, results.c.state, open_jobs.c.id.label("running")).select_from(joined)

    def started(self, after: tuple[str, datetime] | None, limit: int) -> list[OpenFiring]:
        """Firings that are not known to have ended, page by page, those after the key of the last one seen."""
        query = sa.select(*(firings.c[name] for name in OpenFiring._fields))
        query = query.where(STARTED, firings.c.ended.is_(None)).order_by(firings.c.schedule_id, firings.c.fire_at)
        if after is not None:
            query = query.where(sa.tuple_(firings.c.schedule_id, firings.c.fire_at) > _key(*after))
        with self._database.snapshot() as connection:
            return [OpenFiring(*row) for row in connection.execute(query.limit(limit))]

    def states(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The states of those jobs that have ended; one that is not kept any more is `gone`."""
        if not job_ids:
            return {}
        rows = {"ids": encode_rows({"id": job_id} for job_id in job_ids)}
        with self._database.snapshot() as connection:
            found = connection.execute(self._states, rows).all()
        return {job_id: state or "gone" for job_id, state, running in found if running is None}

    def failing(self, schedule_ids: Sequence[str]) -> list[str]:
        """Those of the schedules whose last jobs failed."""
        query = sa.select(schedules.c.id).where(schedules.c.id.in_(schedule_ids), schedules.c.failures > 0)
        with self._database.snapshot() as connection:
            return list(connection.execute(query).scalars())

    def settle(
        self, lead: Lead, ended: Sequence[tuple[OpenFiring, Ended]], standings: Sequence[Standing]
    ) -> list[Standing] | None:
        """Write how firings ended, and how their schedules stand; those that were written.

        Firings whose schedule was written by somebody else meanwhile are left for the next look. None: this process
        does not lead any more.
        """
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            written = [standing for standing in standings if _write(connection, standing)]
            left = {each.schedule.id for each in standings} - {each.schedule.id for each in written}
            for firing, end in ended:
                if firing.schedule_id not in left:
                    mine = firings.c.schedule_id == firing.schedule_id, firings.c.fire_at == firing.fire_at
                    connection.execute(sa.update(firings).where(*mine).values(ended=str(end)))
            for standing in written:
                if standing.pause_note is not None:
                    self._tell(connection, standing, standing.pause_note)
            return written

    def waiting(self) -> list[Waiting]:
        """The first waiting tick of each schedule that has one."""
        is_waiting = firings.c.outcome == word(Outcome.WAITING)
        first = sa.select(firings.c.schedule_id, sa.func.min(firings.c.fire_at).label("fire_at"))
        heads = first.where(is_waiting).group_by(firings.c.schedule_id).subquery()
        same = firings.c.schedule_id == heads.c.schedule_id, firings.c.fire_at == heads.c.fire_at
        query = sa.select(firings.c.schedule_id, firings.c.fire_at, firings.c.backfill_id).join(heads, sa.and_(*same))
        with self._database.snapshot() as connection:
            return [Waiting(*row) for row in connection.execute(query.order_by(firings.c.schedule_id))]

    def _tell(self, connection: sa.Connection, standing: Standing, note: str) -> None:
        record_act(connection, Act.PAUSE_SCHEDULE, standing.schedule, {"paused": True, "pause_note": note}, SYSTEM)
        if standing.last_job_id is not None:
            said = SchedulePaused(schedule_id=standing.schedule.id, failures=standing.failures)
            row = event_row(standing.last_job_id, standing.schedule.organization, Event.of(said, "scheduler"))
            connection.execute(self._insert_events, {"rows": encode_rows([row])})


def _write(connection: sa.Connection, standing: Standing) -> bool:
    values: dict[str, Any] = {
        "failures": standing.failures,
        "backoff_until": standing.backoff_until,
        "next_due_at": standing.next_due_at,
        "revision": standing.revision + 1,
    }
    if standing.pause_note is not None:
        values |= {"paused": True, "pause_note": standing.pause_note, "next_fire_at": None, "next_due_at": None}
    mine = schedules.c.id == standing.schedule.id, schedules.c.revision == standing.revision
    written = sa.update(schedules).where(*mine).values(values).returning(schedules.c.id)
    return connection.execute(written).one_or_none() is not None


def _key(schedule_id: str, fire_at: datetime) -> Any:
    return sa.tuple_(sa.literal(schedule_id, firings.c.schedule_id.type), sa.literal(fire_at, firings.c.fire_at.type))
