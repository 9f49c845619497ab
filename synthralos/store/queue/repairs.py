"""Repairs by StackStorm: asked for by operators, read, followed, and ended together with their jobs.

Those that heal asks for are booked with what parks the job (`appended`), those of incidents in `incident_repairs`. A
job's row is locked before its repair's, by everybody.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.domain.audit import Act
from synthralos.domain.events import Event, RepairAsked, RepairEnded
from synthralos.domain.happenings import Happening, IncidentRepairEnded
from synthralos.domain.ids import new_id
from synthralos.domain.repairs import (
    MOVES,
    OPEN_REPAIRS,
    STACKSTORM,
    WORKFLOWS,
    Repair,
    RepairKind,
    RepairState,
    awaits_repair,
)
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane, Stage, Transition, target
from synthralos.domain.work_items import WorkItem
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.idempotency import make_once
from synthralos.store.queue.job_spans import append_span
from synthralos.store.queue.repair_rows import IS_OPEN, OPEN_ONES, Following, following_of, repair_of, span_of
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import all_jobs, open_jobs, repairs, results


class RepairFilter(NamedTuple):
    """Which repairs are wanted: all conditions that are given hold. `before`: the last id of the page before."""

    state: RepairState | None = None
    kind: RepairKind | None = None
    job_id: str | None = None
    run_id: str | None = None
    before: str | None = None


class Wanted(NamedTuple):
    """What an operator asks for a job: its workflow, with these of its parameters, followed for so many seconds."""

    kind: RepairKind
    parameters: Mapping[str, Any]
    seconds: float


class Ended(NamedTuple):
    """A repair that is over. `woken`: its job, which goes on before heal, where it was still parked for it."""

    repair: Repair
    woken: WorkItem | None


class Repairs:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_events = EVENTS.insert(database.dialect)

    def page(self, wanted: RepairFilter, scope: Scope, limit: int) -> list[Repair]:
        """At most `limit` repairs, newest first."""
        query = sa.select(repairs).where(*_conditions(wanted), *within(scope, repairs))
        with self._database.snapshot() as connection:
            return [repair_of(row) for row in connection.execute(query.order_by(repairs.c.id.desc()).limit(limit))]

    def get(self, repair_id: str, scope: Scope) -> Repair | None:
        """One repair."""
        query = sa.select(repairs).where(repairs.c.id == repair_id, *within(scope, repairs))
        with self._database.snapshot() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else repair_of(row)

    def ask(self, job_id: str, scope: Scope, wanted: Wanted, by: By) -> Repair | None:
        """An operator asks StackStorm to repair the job; None: there is none within the scope.

        While one of the job's is open, that is given instead: asking again asks for nothing more.
        """
        with self._database.transaction() as connection:
            job = connection.execute(sa.select(*_JOB).where(all_jobs.c.id == job_id, *within(scope, all_jobs))).first()
            if job is None:
                return None
            made = insert_repair(connection, _asked_row(job, wanted, by))
            if made is None:
                mine = repairs.c.subject == f"job:{job_id}", IS_OPEN
                open_one = repair_of(connection.execute(sa.select(repairs).where(*mine)).one())
                make_once(connection, by.once, open_one.id)
                return open_one
            make_once(connection, by.once, made.id)
            said = {"kind": str(made.kind), "workflow": made.workflow}
            record(connection, by, Change(Act.ASK_REPAIR, f"job:{job_id}", None, said, made.organization))
            event = RepairAsked(
                repair_id=made.id, repair_kind=made.kind, workflow=made.workflow, state=made.state,
                reason=made.reason, until=made.until, attempts=job.attempts,
            )  # fmt: skip
            self._note(connection, made, Event.of(event, by.actor))
        return made

    def following(self, limit: int) -> list[Following]:
        """The oldest open repairs, each with whether its job is parked for it."""
        with self._database.snapshot() as connection:
            return [following_of(row) for row in connection.execute(OPEN_ONES.limit(limit))]

    def started(self, repair_id: str, execution_id: str) -> bool:
        """StackStorm has begun it; False where it is over meanwhile."""
        values = {"state": str(RepairState.STARTED), "execution_id": execution_id, "started_at": utcnow()}
        with self._database.transaction() as connection:
            return _moved(connection, repair_id, RepairState.STARTED, values) is not None

    def end(
        self, repair_id: str, state: RepairState, outcome: str, result: Mapping[str, Any] | None = None
    ) -> Ended | None:
        """The repair is over; None where it was already. A job that is still parked for it goes back to heal.

        What `failed` and what succeeded without moving the job has then `fell_back`.
        """
        with self._database.transaction() as connection:
            found = repair_of(connection.execute(sa.select(repairs).where(repairs.c.id == repair_id)).one())
            return self.end_within(connection, found, state, outcome, result)

    def end_within(
        self,
        connection: sa.Connection,
        found: Repair,
        state: RepairState,
        outcome: str,
        result: Mapping[str, Any] | None,
    ) -> Ended | None:
        """See `end`; in a transaction that locks no repair whose job it has not locked before."""
        parked = None if found.job_id is None else _lock_parked(connection, found.job_id)
        said = state if parked is None else RepairState.FELL_BACK
        values: dict[str, Any] = {"state": str(said), "outcome": outcome, "ended_at": utcnow()}
        if result is not None:
            values["result"] = dict(result)
        repair = _moved(connection, found.id, said, values)
        if repair is None:
            return None
        if parked is not None:
            _wake(connection, parked.id)
        if repair.job_id is None:
            told = IncidentRepairEnded(state=repair.state, outcome=outcome, execution_id=repair.execution_id)
            tell(connection, [Happening.of(told, repair.id, STACKSTORM, repair.organization or None)])
        else:
            self._end_of_job(connection, repair)
        return Ended(repair, parked)

    def _end_of_job(self, connection: sa.Connection, repair: Repair) -> None:
        """What the job's record says: an event, and where the workflow moved it, its span is there already."""
        assert repair.job_id is not None
        if repair.acted_at is None:
            append_span(connection, repair.job_id, span_of(repair, repair.ended_at, "error"))
        event = RepairEnded(
            repair_id=repair.id, repair_kind=repair.kind, state=repair.state, outcome=repair.outcome,
            execution_id=repair.execution_id,
        )  # fmt: skip
        self._note(connection, repair, Event.of(event, STACKSTORM))

    def _note(self, connection: sa.Connection, repair: Repair, event: Event) -> None:
        assert repair.job_id is not None
        row = event_row(repair.job_id, repair.organization, event)
        connection.execute(self._insert_events, {"rows": encode_rows([row])})


def take_turn(connection: sa.Connection, repair_id: str, job_id: str) -> bool:
    """Let the workflow of an open repair move the job, whose row is locked: once."""
    mine = (repairs.c.id == repair_id, repairs.c.job_id == job_id, repairs.c.acted_at.is_(None), IS_OPEN)
    statement = sa.update(repairs).where(*mine).values(acted_at=utcnow()).returning(*repairs.c)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return False
    repair = repair_of(row)
    append_span(connection, job_id, span_of(repair, repair.acted_at, "ok"))
    return True


_JOB = tuple(
    all_jobs.c[name] for name in ("id", "organization", "workspace", "user_id", "run_id", "failure", "attempts")
)


def _asked_row(job: Any, wanted: Wanted, by: By) -> dict[str, Any]:
    failure_class = (job.failure or {}).get("class", "")
    return _row(wanted.kind, wanted.parameters, wanted.seconds) | {
        "organization": job.organization, "workspace": job.workspace, "user_id": job.user_id, "job_id": job.id,
        "run_id": job.run_id, "subject": f"job:{job.id}", "reason": by.reason, "failure_class": failure_class,
        "asked_by": by.actor,
    }  # fmt: skip


def _row(kind: RepairKind, parameters: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "id": new_id(), "kind": str(kind), "workflow": WORKFLOWS[kind], "parameters": dict(parameters),
        "state": str(RepairState.ASKED), "asked_at": utcnow(), "until": utc_in(sa.literal(seconds)), "outcome": "",
    }  # fmt: skip


def insert_repair(connection: sa.Connection, row: dict[str, Any]) -> Repair | None:
    """The repair; None where one of its subject is open."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(repairs).values(row).on_conflict_do_nothing().returning(*repairs.c)
    made = connection.execute(statement).one_or_none()
    return None if made is None else repair_of(made)


def _moved(connection: sa.Connection, repair_id: str, state: RepairState, values: dict[str, Any]) -> Repair | None:
    before = [str(source) for source in OPEN_REPAIRS if state in MOVES[source]]
    mine = repairs.c.id == repair_id, repairs.c.state.in_(before)
    row = connection.execute(sa.update(repairs).where(*mine).values(values).returning(*repairs.c)).one_or_none()
    return None if row is None else repair_of(row)


def _lock_parked(connection: sa.Connection, job_id: str) -> WorkItem | None:
    """Lock the job's row: where its work is, if it is parked for a repair; None where it is not (any more)."""
    query = sa.select(open_jobs.c.state, open_jobs.c.stage, open_jobs.c.lane).where(open_jobs.c.id == job_id)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        ended = sa.select(results.c.job_id).where(results.c.job_id == job_id)
        connection.execute(ended.with_for_update())
    if row is None or not awaits_repair(row.state, row.stage):
        return None
    return WorkItem(job_id, Stage.HEAL, Lane(row.lane))


def _wake(connection: sa.Connection, job_id: str) -> None:
    """Queue a job whose row is locked, where it stopped."""
    values = {"state": target(Transition.WAKE), "run_at": None, "notified_at": utcnow(), "rings": 0}
    connection.execute(sa.update(open_jobs).where(open_jobs.c.id == job_id).values(values))


def _conditions(wanted: RepairFilter) -> Sequence[sa.ColumnElement[bool]]:
    equal = {"state": wanted.state, "kind": wanted.kind, "job_id": wanted.job_id, "run_id": wanted.run_id}
    conditions: list[sa.ColumnElement[bool]] = [
        repairs.c[name] == str(value) for name, value in equal.items() if value is not None
    ]
    if wanted.before is not None:
        conditions.append(repairs.c.id < wanted.before)
    return conditions
