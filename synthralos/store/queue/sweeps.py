"""What the scheduler looks for: jobs that nobody came for, jobs whose time has come, workers that are lost."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Event
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.states import Lane, Stage, State, Transition, sources, target
from synthralos.store.admin.processes import boot_id
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.log_rows import event_row, insert_events
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, utc_in, utcnow
from synthralos.store.tables import export_backlog, jobs, processes

_ALIVE = ["running", "draining"]
_MOVED = (jobs.c.id, jobs.c.stage, jobs.c.lane, jobs.c.state, jobs.c.losses, jobs.c.organization)

_APART, _SPREAD, _LONGEST_SPREAD = 0.05, 10.0, 300.0
"""Seconds: between two of many jobs that are set apart; what few are spread over, which is longer than a worker takes
to be started again; and what any number is spread over at most. Each further loss doubles the first two."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A job that has work at a stage, for the doorbell."""

    id: str
    stage: Stage
    lane: Lane


class Sweeps:
    """Each sweep is one transaction, and any number of sweepers may run them at once."""

    def __init__(self, database: Database, max_losses: int) -> None:
        """`max_losses`: how many workers a job may take down with it before it is a dead letter."""
        self._database = database
        self._max_losses = max_losses
        self._insert_events = insert_events(database.dialect)
        self._ledger = Ledger(database.dialect)
        self._free = _free(database.dialect)

    def wake_due(self, limit: int = 1000) -> list[WorkItem]:
        """Queue parked jobs whose `run_at` has come."""
        due = (
            sa.select(jobs.c.id)
            .where(jobs.c.run_at <= utcnow(), jobs.c.state.in_(sources(Transition.WAKE)))
            .order_by(jobs.c.run_at)
        )
        return self._move(due, limit, state=target(Transition.WAKE), run_at=None, rung_at=utcnow())

    def expire(self, limit: int = 1000) -> list[WorkItem]:
        """End jobs that wait while their deadline has passed. Active ones are ended by their worker."""
        late = sa.select(jobs.c.id).where(
            jobs.c.deadline <= utcnow(), jobs.c.finished_at.is_(None), jobs.c.state.in_([State.QUEUED, State.PARKED])
        )
        return self._move(
            late.order_by(jobs.c.deadline), limit,
            state=target(Transition.EXPIRE), stage=Stage.ANALYZE, run_at=None, finished_at=utcnow(),
        )  # fmt: skip

    def unclaimed_queues(self, after: float) -> list[tuple[Stage, Lane]]:
        """Where jobs wait that were rung more than `after` seconds ago: one look for all stages and lanes."""
        query = (
            sa.select(jobs.c.stage, jobs.c.lane)
            .where(
                jobs.c.finished_at.is_(None),
                jobs.c.state == State.QUEUED,
                jobs.c.rung_at < utc_in(sa.literal(-after)),
            )
            .distinct()
        )
        with self._database.snapshot() as connection:
            return [(Stage(row.stage), Lane(row.lane)) for row in connection.execute(query)]

    def unclaimed_jobs(self, stage: Stage, lane: Lane, after: float, limit: int) -> list[WorkItem]:
        """Jobs that were rung more than `after` seconds ago and are still queued, oldest first."""
        waiting = sa.select(jobs.c.id).where(
            jobs.c.finished_at.is_(None),
            jobs.c.state == State.QUEUED,
            jobs.c.stage == stage,
            jobs.c.lane == lane,
            jobs.c.rung_at < utc_in(sa.literal(-after)),
        )
        return self._move(waiting.order_by(jobs.c.id), limit, rung_at=utcnow())

    def unanalyzed(self, after: float, limit: int = 1000) -> list[WorkItem]:
        """Finished jobs whose trace nobody has closed within `after` seconds."""
        open_traces = (
            sa.select(jobs.c.id, jobs.c.lane)
            .where(jobs.c.analyzed_at.is_(None), jobs.c.finished_at < utc_in(sa.literal(-after)))
            .order_by(jobs.c.finished_at)
            .limit(limit)
        )
        with self._database.snapshot() as connection:
            return [WorkItem(r.id, Stage.ANALYZE, Lane(r.lane)) for r in connection.execute(open_traces)]

    def backlog(self, after: float, limit: int = 1000) -> list[WorkItem]:
        """Analyzed jobs that wait for an exporter for more than `after` seconds."""
        waiting = (
            sa.select(export_backlog.c.job_id)
            .where(export_backlog.c.since < utc_in(sa.literal(-after)))
            .distinct()
            .limit(limit)
        )
        with self._database.snapshot() as connection:
            return [WorkItem(i, Stage.ANALYZE, Lane.BULK) for i in connection.execute(waiting).scalars()]

    def declare_silent(self, since: datetime) -> list[str]:
        """Declare lost the processes that were not heard of since then.

        While the database is away nobody can beat: whoever calls this has itself seen it all the time until now.
        """
        return self._declare(processes.c.heartbeat_at < since)

    def declare_gone(self) -> list[str]:
        """Declare lost the processes that no longer exist on this machine: no need to wait for silence."""
        gone = self._gone_from_here()
        return self._declare(processes.c.id.in_(gone)) if gone else []

    def clock(self) -> datetime:
        """The database's time: the clock that heartbeats are judged by."""
        with self._database.snapshot() as connection:
            return connection.execute(sa.select(utcnow())).scalar_one()

    def _declare(self, condition: sa.ColumnElement[bool]) -> list[str]:
        statement = sa.update(processes).where(processes.c.state.in_(_ALIVE), condition).values(state="lost")
        with self._database.transaction() as connection:
            return list(connection.execute(statement.returning(processes.c.id)).scalars())

    def rescue(self, limit: int = 2000) -> list[WorkItem]:
        """Free the jobs whose worker is not alive; write off their open attempts as lost, maybe billed.

        A job that was lost too often is buried when it was the only such job of its worker. Of several, any one may
        have taken the worker down: they are set apart in time, further with each loss, until one of them is alone.
        """
        alive = sa.select(processes.c.id).where(processes.c.state.in_(_ALIVE))
        orphaned = (
            sa.select(jobs.c.id, jobs.c.worker_id, jobs.c.losses)
            .where(jobs.c.finished_at.is_(None), jobs.c.state == State.ACTIVE, jobs.c.worker_id.not_in(alive))
            .order_by(jobs.c.losses.desc(), jobs.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as connection:
            fates = _fates(connection.execute(orphaned).all(), self._max_losses)
            freed = connection.execute(self._free, {"rows": encode_rows(fates), "poison": self._poison()}).all()
            self._ledger.write_off(connection, [r.id for r in freed])
            self._note_losses(connection, freed)
        return [WorkItem(r.id, Stage(r.stage), Lane(r.lane)) for r in freed]

    def _note_losses(self, connection: sa.Connection, freed: Sequence[sa.Row[tuple[str, ...]]]) -> None:
        kinds = {State.FAILED: "buried", State.PARKED: "isolated"}
        rows = [
            event_row(r.id, r.organization, Event(kinds.get(State(r.state), "lost"), "sweeper", {"losses": r.losses}))
            for r in freed
        ]
        if rows:
            connection.execute(self._insert_events, {"rows": encode_rows(rows)})

    def _poison(self) -> dict[str, object]:
        message = f"its worker died {self._max_losses} times while it was being worked on"
        return Failure(FailureClass.INTERNAL, message, provider_code="poison").to_json()

    def _gone_from_here(self) -> list[str]:
        """Processes of this very boot and pid namespace that no longer exist."""
        here = boot_id()
        if not here:
            return []
        query = sa.select(processes.c.id, processes.c.pid).where(
            processes.c.state.in_(_ALIVE), processes.c.boot == here
        )
        with self._database.snapshot() as connection:
            return [row.id for row in connection.execute(query) if not _exists(row.pid)]

    def _move(self, query: sa.Select[tuple[str]], limit: int, **values: object) -> list[WorkItem]:
        with self._database.transaction() as connection:
            rows = self._pick(connection, query, limit, values)
        return [WorkItem(r.id, Stage(r.stage), Lane(r.lane)) for r in rows]

    def _pick(
        self, connection: sa.Connection, query: sa.Select[tuple[str]], limit: int, values: dict[str, object]
    ) -> Sequence[sa.Row[tuple[str, ...]]]:
        """Update the first `limit` rows of `query` that nobody else has locked."""
        picked = query.limit(limit).with_for_update(skip_locked=True).cte("picked")
        statement = sa.update(jobs).where(jobs.c.id == picked.c.id).values(values).returning(*_MOVED)
        return connection.execute(statement).all()


def _fates(orphans: Sequence[sa.Row[Any, Any, Any]], max_losses: int) -> list[dict[str, Any]]:
    """What becomes of jobs that were lost with their workers. Those that were lost most often wait longest."""
    suspects = Counter(row.worker_id for row in orphans if row.losses + 1 >= max_losses)
    ranks: Counter[str] = Counter()
    fates: list[dict[str, Any]] = []
    for row in sorted(orphans, key=lambda row: row.losses):
        transition, delay, excess = Transition.RESCUE, None, row.losses + 1 - max_losses
        if excess >= 0:
            together = suspects[row.worker_id]
            ranks[row.worker_id] += 1
            transition = Transition.BURY if together == 1 else Transition.ISOLATE
            delay = None if together == 1 else _spread(together, excess) * ranks[row.worker_id] / together
        fates.append({"id": row.id, "state": target(transition), "delay": delay})
    return fates


def _spread(suspects: int, excess: int) -> float:
    return min(max(_SPREAD, _APART * suspects) * 2.0 ** min(excess, 10), _LONGEST_SPREAD)


def _free(dialect: str) -> Any:
    """The statement; its parameter `rows` holds `_fates`, `poison` the failure of those that are buried."""
    rows = recordset(dialect, "rows", {"id": Id, "state": sa.Text(), "delay": sa.Float()})
    buried = rows.c.state == target(Transition.BURY)
    values = {
        "losses": jobs.c.losses + 1,
        "worker_id": None,
        "rung_at": utcnow(),
        "state": rows.c.state,
        "run_at": utc_in(rows.c.delay),
        "stage": sa.case((buried, Stage.ANALYZE), else_=jobs.c.stage),
        "finished_at": sa.case((buried, utcnow()), else_=sa.null()),
        "failure": sa.case((buried, sa.bindparam("poison", type_=jobs.c.failure.type)), else_=jobs.c.failure),
    }
    return sa.update(jobs).where(jobs.c.id == rows.c.id).values(values).returning(*_MOVED)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
