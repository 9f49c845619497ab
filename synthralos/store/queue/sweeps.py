"""What the scheduler looks for: jobs that nobody came for, jobs whose time has come, workers that are lost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Buried, Event, Isolated, Lost
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.states import Lane, Stage, State, Transition, sources, target
from synthralos.domain.work_items import WorkItem
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.ending import end_jobs
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.local_processes import ALIVE, gone_from_here
from synthralos.store.queue.suspects import fates_of
from synthralos.store.queue.wait_answers import WaitAnswers
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, asked_at, id_text, one_of, utc_in, utcnow, word
from synthralos.store.tables import export_backlog, export_destinations, jobs, open_jobs, processes, results

_MOVED = (id_text(open_jobs.c.id), open_jobs.c.stage, open_jobs.c.lane)
_PARKED = one_of(open_jobs.c.state, sources(Transition.WAKE))
_WAITING = one_of(open_jobs.c.state, (State.QUEUED, State.PARKED))

_ORPHANED = (
    id_text(open_jobs.c.id), id_text(open_jobs.c.worker_id), open_jobs.c.stage, open_jobs.c.lane, open_jobs.c.losses,
    open_jobs.c.attempts,
)  # fmt: skip


def _holders() -> Any:
    """The workers that hold jobs: the smallest id, then again and again the next one."""
    held = sa.select(open_jobs.c.worker_id).where(open_jobs.c.state == word(State.ACTIVE))
    held = held.where(open_jobs.c.worker_id.is_not(None)).order_by(open_jobs.c.worker_id).limit(1)
    first = sa.select(held.scalar_subquery().label("worker_id")).cte("holders", recursive=True)
    following = held.where(open_jobs.c.worker_id > first.c.worker_id).correlate(first).scalar_subquery()
    all_of_them = first.union_all(sa.select(following).where(first.c.worker_id.is_not(None)))
    return sa.select(all_of_them.c.worker_id).where(all_of_them.c.worker_id.is_not(None))


_HOLDERS = _holders()


def _first(column: sa.Column[datetime], condition: sa.ColumnElement[bool]) -> Any:
    return sa.select(column).where(column.is_not(None), condition).order_by(column).limit(1).scalar_subquery()


_NEXT_TIMES = sa.select(
    utcnow().label("now"),
    _first(open_jobs.c.run_at, _PARKED).label("wakes"),
    _first(open_jobs.c.deadline, _WAITING).label("expires"),
)


def _unclaimed(stage: Stage, lane: Lane, ago: sa.ColumnElement[float]) -> list[sa.ColumnElement[bool]]:
    return [
        open_jobs.c.state == word(State.QUEUED),
        open_jobs.c.stage == word(stage),
        open_jobs.c.lane == word(lane),
        open_jobs.c.notified_at < asked_at(ago),
    ]


def _unclaimed_queues() -> Any:
    """The queues whose head was rung more than -`ago` seconds ago."""
    ago = sa.bindparam("ago", type_=sa.Float())
    heads = [
        sa.select(word(stage).label("stage"), word(lane).label("lane")).where(
            sa.exists().where(*_unclaimed(stage, lane, ago))
        )
        for stage in Stage
        for lane in Lane
    ]
    return sa.union_all(*heads)


_UNCLAIMED_QUEUES = _unclaimed_queues()


class Sweeps:
    """Each sweep is one transaction, and any number of sweepers may run them at once."""

    def __init__(self, database: Database, max_losses: int) -> None:
        """`max_losses`: how many workers a job may take down with it before it is a dead letter."""
        self._database = database
        self._max_losses = max_losses
        self._insert_events = EVENTS.insert(database.dialect)
        self._ledger = Ledger(database.dialect)
        self._free = _free(database.dialect)
        self._answers = WaitAnswers(database.dialect)

    def due(self) -> float | None:
        """Seconds until the next parked job is to be woken or a waiting one expires; negative: it was to be by now.

        None: there is no such job. One look into the index of each, however many jobs there are.
        """
        with self._database.snapshot() as connection:
            now, *times = connection.execute(_NEXT_TIMES).one()
        return min(((time - now).total_seconds() for time in times if time is not None), default=None)

    def wake_due(self, limit: int = 1000) -> list[WorkItem]:
        """Queue parked jobs whose `run_at` has come; of those that waited for an answer, the default holds.

        One that is denied by that is over: it is at analyze.
        """
        due = sa.select(open_jobs.c.id).where(open_jobs.c.run_at <= asked_at(sa.literal(0.0)), _PARKED)
        values = {"state": target(Transition.WAKE), "run_at": None, "notified_at": utcnow()}
        with self._database.transaction() as connection:
            woken = self._moved(connection, due.order_by(open_jobs.c.run_at), limit, values)
            denied = self._answers.time_out(connection, [item.id for item in woken])
        return [WorkItem(i.id, Stage.ANALYZE, i.lane) if i.id in denied else i for i in woken]

    def time_out_waits(self, limit: int = 1000) -> list[str]:
        """Let the default hold where the deadline of a wait without a job has passed; the ids of those."""
        with self._database.transaction() as connection:
            return self._answers.time_out_jobless(connection, limit)

    def expire(self, limit: int = 1000) -> list[WorkItem]:
        """End jobs that wait while their deadline has passed. Active ones are ended by their worker."""
        late = (
            sa.select(id_text(open_jobs.c.id), open_jobs.c.lane)
            .where(open_jobs.c.deadline <= asked_at(sa.literal(0.0)), _WAITING)
            .order_by(open_jobs.c.deadline)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(late).all()
            if rows:
                end_jobs(connection, [row.id for row in rows], target(Transition.EXPIRE))
        return [WorkItem(row.id, Stage.ANALYZE, Lane(row.lane)) for row in rows]

    def unclaimed_queues(self, after: float) -> list[tuple[Stage, Lane]]:
        """Where jobs wait that were rung more than `after` seconds ago: one look at the head of each queue."""
        with self._database.snapshot() as connection:
            found = connection.execute(_UNCLAIMED_QUEUES, {"ago": -after}).all()
        return [(Stage(row.stage), Lane(row.lane)) for row in found]

    def unclaimed_jobs(self, stage: Stage, lane: Lane, after: float, limit: int) -> list[WorkItem]:
        """Jobs that were rung more than `after` seconds ago and are still queued, longest ago first.

        They count as rung again: whoever takes them next claims them before anything else.
        """
        waiting = sa.select(open_jobs.c.id).where(*_unclaimed(stage, lane, sa.literal(-after)))
        values = {"notified_at": utcnow(), "rings": open_jobs.c.rings + 1}
        return self._move(waiting.order_by(open_jobs.c.notified_at), limit, values)

    def unanalyzed(self, after: float, limit: int = 1000) -> list[WorkItem]:
        """Finished jobs whose trace nobody has closed within `after` seconds."""
        open_traces = (
            sa.select(id_text(results.c.job_id), jobs.c.lane)
            .join(jobs, jobs.c.id == results.c.job_id)
            .where(results.c.analyzed_at.is_(None), results.c.finished_at < asked_at(sa.literal(-after)))
            .order_by(results.c.finished_at)
            .limit(limit)
        )
        with self._database.snapshot() as connection:
            return [WorkItem(r.job_id, Stage.ANALYZE, Lane(r.lane)) for r in connection.execute(open_traces)]

    def backlog(self, after: float, limit: int = 1000) -> list[WorkItem]:
        """Analyzed jobs that wait for an exporter for more than `after` seconds, of destinations that do not rest."""
        owed, known, now = export_backlog.c, export_destinations.c, asked_at(sa.literal(0))
        due = owed.since < asked_at(sa.literal(-after)), sa.or_(owed.next_at.is_(None), owed.next_at <= now)
        rests = sa.exists().where(known.name == owed.destination, known.rest_until > now)
        waiting = sa.select(owed.job_id).where(*due, ~rests).limit(limit)
        with self._database.snapshot() as connection:
            found = dict.fromkeys(connection.execute(waiting).scalars())
        return [WorkItem(job_id, Stage.ANALYZE, Lane.BULK) for job_id in found]

    def declare_silent(self, since: datetime) -> list[str]:
        """Declare lost the processes that were not heard of since then.

        While the database is away nobody can beat: whoever calls this has itself seen it all the time until now.
        """
        silent = processes.c.heartbeat_at < since
        query = sa.select(processes.c.id).where(processes.c.state.in_(ALIVE), silent).limit(1)
        with self._database.snapshot() as connection:
            found = connection.execute(query).first()
        return self._declare(silent) if found else []

    def declare_gone(self) -> list[str]:
        """Declare lost the processes that no longer exist on this machine: no need to wait for silence."""
        gone = gone_from_here(self._database)
        return self._declare(processes.c.id.in_(gone)) if gone else []

    def clock(self) -> datetime:
        """The database's time: the clock that heartbeats are judged by."""
        with self._database.snapshot() as connection:
            return connection.execute(sa.select(utcnow())).scalar_one()

    def _declare(self, condition: sa.ColumnElement[bool]) -> list[str]:
        statement = sa.update(processes).where(processes.c.state.in_(ALIVE), condition).values(state="lost")
        with self._database.transaction() as connection:
            return list(connection.execute(statement.returning(processes.c.id)).scalars())

    def rescue(self, limit: int = 2000) -> list[WorkItem]:
        """Free the jobs whose worker is not alive; write off their open attempts as lost, maybe billed.

        A job that was lost too often is a suspect, and buried when it was the only one of its worker. Of several, any
        one may have taken the worker down: they are set apart in time until one of them is alone. A worker's suspects
        are judged together, however many they are, and not before all of them can be locked.
        """
        dead = self._dead_holders()
        if not dead:
            return []
        with self._database.transaction() as connection:
            orphans = self._orphans(connection, dead, limit)
            if not orphans:
                return []
            fates = fates_of(orphans, self._max_losses)
            self._ledger.write_off(connection, [row.id for row in orphans])
            connection.execute(self._free, {"rows": encode_rows(fates)})
            buried = {fate["id"] for fate in fates if fate["state"] == target(Transition.BURY)}
            if buried:
                end_jobs(connection, list(buried), target(Transition.BURY), self._poison())
            self._note_losses(connection, fates, {row.id: row.attempts for row in orphans})
        return [
            WorkItem(row.id, Stage.ANALYZE if row.id in buried else Stage(row.stage), Lane(row.lane)) for row in orphans
        ]

    def _orphans(self, connection: sa.Connection, dead: Sequence[str], limit: int) -> list[sa.Row[Any, Any, Any]]:
        """Locked jobs of dead workers: whole sets of suspects, and up to `limit` of the others."""
        held = sa.and_(open_jobs.c.state == word(State.ACTIVE), open_jobs.c.worker_id.in_(dead))
        suspect = open_jobs.c.losses + 1 >= self._max_losses
        locked = sa.select(*_ORPHANED).with_for_update(skip_locked=True, of=open_jobs).order_by(open_jobs.c.id)
        counted = sa.select(id_text(open_jobs.c.worker_id), sa.func.count()).where(held, suspect)
        of_worker = {row[0]: row[1] for row in connection.execute(counted.group_by(open_jobs.c.worker_id))}
        suspects = connection.execute(locked.where(held, suspect)).all() if of_worker else []
        found = Counter(row.worker_id for row in suspects)
        whole = [row for row in suspects if found[row.worker_id] == of_worker.get(row.worker_id)]
        return [*whole, *connection.execute(locked.where(held, ~suspect).limit(limit)).all()]

    def _dead_holders(self) -> list[str]:
        """Who holds jobs and is not alive: one look into the index for each holder, however many jobs there are."""
        with self._database.snapshot() as connection:
            holders = set(connection.execute(_HOLDERS).scalars())
            alive = connection.execute(sa.select(processes.c.id).where(processes.c.state.in_(ALIVE))).scalars()
            return sorted(holders - set(alive))

    def _note_losses(
        self, connection: sa.Connection, fates: Sequence[dict[str, Any]], attempts: Mapping[str, int]
    ) -> None:
        query = sa.select(id_text(jobs.c.id), jobs.c.organization).where(jobs.c.id.in_([fate["id"] for fate in fates]))
        organizations = {row.id: row.organization for row in connection.execute(query)}
        kinds: dict[State, type[Lost]] = {State.FAILED: Buried, State.PARKED: Isolated}
        rows = []
        for fate in fates:
            said = {"losses": fate["losses"], "attempts": attempts[fate["id"]]}
            event = Event.of(kinds.get(fate["state"], Lost)(**said), "sweeper")
            rows.append(event_row(fate["id"], organizations[fate["id"]], event))
        connection.execute(self._insert_events, {"rows": encode_rows(rows)})

    def _poison(self) -> dict[str, object]:
        message = f"its worker died {self._max_losses} times while it was being worked on"
        return Failure(FailureClass.INTERNAL, message, provider_code="poison").to_json()

    def _move(self, query: sa.Select[tuple[str]], limit: int, values: Mapping[str, object]) -> list[WorkItem]:
        """Update the first `limit` rows of `query` that nobody else has locked."""
        with self._database.transaction() as connection:
            return self._moved(connection, query, limit, values)

    @staticmethod
    def _moved(
        connection: sa.Connection, query: sa.Select[tuple[str]], limit: int, values: Mapping[str, object]
    ) -> list[WorkItem]:
        picked = query.limit(limit).with_for_update(skip_locked=True).cte("picked")
        statement = sa.update(open_jobs).where(open_jobs.c.id == picked.c.id).values(values).returning(*_MOVED)
        return [WorkItem(r.id, Stage(r.stage), Lane(r.lane)) for r in connection.execute(statement)]


def _free(dialect: str) -> Any:
    """The statement; its parameter `rows` holds `fates_of`. Those that are to be buried are ended afterwards."""
    columns = {"id": Id, "state": sa.Text(), "delay": sa.Float(), "losses": sa.Integer()}
    rows = recordset(dialect, "rows", columns)
    values = {
        "losses": rows.c.losses,
        "worker_id": None,
        "in_flight": False,
        "notified_at": utcnow(),
        "state": rows.c.state,
        "run_at": utc_in(rows.c.delay),
    }
    return sa.update(open_jobs).where(open_jobs.c.id == rows.c.id).values(values)
