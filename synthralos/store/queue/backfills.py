"""Backfills: the ticks of a time that is over, fired afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.firings import Outcome
from synthralos.domain.ids import new_id
from synthralos.domain.schedules import Overlap, Schedule
from synthralos.store.admin.audit import By
from synthralos.store.admin.schedules import record_act
from synthralos.store.queue.firings import Firings, NewFiring
from synthralos.store.queue.idempotency import make_once
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import backfills


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill, and how far it is: of `total` ticks from `start_at` to before `end_at`, `handled` are decided about.

    `reached`: everything up to there. `done_at`: since then all are.
    """

    id: str
    schedule_id: str
    start_at: datetime
    end_at: datetime
    overlap: Overlap
    total: int
    handled: int
    reached: datetime
    done_at: datetime | None
    created_at: datetime
    created_by: str

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "id": self.id,
            "start": self.start_at.isoformat(),
            "end": self.end_at.isoformat(),
            "overlap": str(self.overlap),
            "ticks": self.total,
            "handled": self.handled,
            "done_at": None if self.done_at is None else self.done_at.isoformat(),
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
        }


class Backfills:
    """Makes, reads and advances them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._firings = Firings(database)

    def create(
        self, schedule: Schedule, start: datetime, end: datetime, overlap: Overlap, total: int, by: By
    ) -> Backfill:
        """A backfill of `total` ticks; the leader carries it out."""
        backfill_id = new_id()
        row = {
            "id": backfill_id, "schedule_id": schedule.id, "start_at": start, "end_at": end, "overlap": str(overlap),
            "total": total, "handled": 0, "reached": start, "created_at": utcnow(), "created_by": by.actor,
        }  # fmt: skip
        said = {"start": start.isoformat(), "end": end.isoformat(), "overlap": str(overlap), "ticks": total}
        with self._database.transaction() as connection:
            make_once(connection, by.once, backfill_id)
            connection.execute(sa.insert(backfills).values(row))
            record_act(connection, Act.BACKFILL_SCHEDULE, schedule, said, by)
            found = connection.execute(sa.select(backfills).where(backfills.c.id == backfill_id)).one()
        return _backfill(found)

    def of(self, schedule_id: str, limit: int = 100) -> list[Backfill]:
        """The schedule's, newest first."""
        query = sa.select(backfills).where(backfills.c.schedule_id == schedule_id)
        with self._database.snapshot() as connection:
            return [_backfill(row) for row in connection.execute(query.order_by(backfills.c.id.desc()).limit(limit))]

    def running(self, after: str | None, limit: int) -> list[Backfill]:
        """A page of those that are not done, oldest first: those after the id of the last one seen."""
        query = sa.select(backfills).where(backfills.c.done_at.is_(None)).order_by(backfills.c.id).limit(limit)
        if after is not None:
            query = query.where(backfills.c.id > after)
        with self._database.snapshot() as connection:
            return [_backfill(row) for row in connection.execute(query)]

    def advance(
        self,
        lead: Lead,
        backfill: Backfill,
        reached: datetime,
        handled: int,
        decided: Sequence[NewFiring],
        *,
        done: bool,
    ) -> list[NewFiring] | None:
        """Write what became of the ticks up to `reached`; those whose decision was written.

        A tick that has fired stays as it is; one that was missed or skipped is decided about anew. None: this process
        does not lead any more, or somebody else has advanced it.
        """
        values: dict[str, Any] = {"reached": reached, "handled": backfills.c.handled + handled}
        if done:
            values["done_at"] = utcnow()
        same = backfills.c.id == backfill.id, backfills.c.reached == backfill.reached, backfills.c.done_at.is_(None)
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            moved = sa.update(backfills).where(*same).values(values).returning(backfills.c.id)
            if connection.execute(moved).one_or_none() is None:
                return None
            written = self._firings.insert(connection, decided)
            new = {firing.key for firing in written}
            undone = (Outcome.MISSED, Outcome.SKIPPED)
            return written + [
                firing
                for firing in decided
                if firing.key not in new
                and firing.outcome is not Outcome.SKIPPED
                and self._firings.begin(connection, firing, undone)
            ]


def _backfill(row: Any) -> Backfill:
    return Backfill(**{**row._mapping, "overlap": Overlap(row.overlap)})
