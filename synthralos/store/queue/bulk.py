"""Operations on many dead letters: made at once, carried out piece by piece, each piece one transaction.

A piece moves its jobs and the operation's place together, so that whoever is killed in between has done all of it or
nothing: no job is done twice, and none is left out. A job that fails again meanwhile lies behind that place.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.bulk import CHANGES, BulkAct, BulkOperation, BulkState, DeadLetterFilter
from synthralos.domain.events import Event, Rerouted, Retried
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane, Stage, State, Transition, target
from synthralos.domain.work_items import WorkItem
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.ending import reopen_jobs
from synthralos.store.queue.idempotency import make_once
from synthralos.store.queue.operations import afresh
from synthralos.store.read.dead_letters import dead_letters
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import bulk_operations, jobs, open_jobs, results

_TRANSITIONS = {BulkAct.RETRY: Transition.RETRY, BulkAct.REROUTE: Transition.REROUTE}


class Piece(NamedTuple):
    """What one step did: the jobs that have work now, and whether the operation is over."""

    moved: list[WorkItem]
    over: bool


class BulkOperations:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_events = EVENTS.insert(database.dialect)

    def create(
        self,
        act: BulkAct,
        wanted: DeadLetterFilter,
        scope: Scope,
        by: By,
        *,
        name: str = "",
        changes: dict[str, Any] | None = None,
        per_second: float | None = None,
        repeats: str | None = None,
    ) -> BulkOperation:
        """A new operation, running. It is about jobs that have failed by now.

        Raises `MadeBeforeError` or `KeyReusedError` where `by.once` was used before.
        """
        row = {
            "id": new_id(), "organization": scope.organization, "workspace": scope.workspace, "user_id": scope.user,
            "name": name, "act": str(act), "filter": wanted.to_json(), "changes": changes or None,
            "per_second": per_second, "state": str(BulkState.RUNNING), "last_id": None, "done": 0,
            "created_by": by.actor, "reason": by.reason, "created_at": utcnow(), "changed_at": utcnow(),
            "finished_at": None, "repeats": repeats,
        }  # fmt: skip
        said = {"act": str(act), "filter": wanted.to_json(), "changes": changes or {}}
        with self._database.transaction() as connection:
            make_once(connection, by.once, str(row["id"]))
            made = connection.execute(sa.insert(bulk_operations).values(row).returning(*bulk_operations.c)).one()
            subject = f"operation:{made.id}"
            record(connection, by, Change(Act.BULK_OPERATION, subject, None, said, scope.organization))
        return _operation(made)

    def get(self, operation_id: str, scope: Scope) -> BulkOperation | None:
        """One operation of the scope."""
        query = sa.select(bulk_operations).where(bulk_operations.c.id == operation_id, *within(scope, bulk_operations))
        with self._database.snapshot() as connection:
            row = connection.execute(query).first()
        return None if row is None else _operation(row)

    def page(self, scope: Scope, limit: int, before: str | None = None) -> list[BulkOperation]:
        """Operations of the scope, newest first."""
        query = sa.select(bulk_operations).where(*within(scope, bulk_operations))
        if before is not None:
            query = query.where(bulk_operations.c.id < before)
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(bulk_operations.c.id.desc()).limit(limit))
            return [_operation(row) for row in rows]

    def running(self) -> list[BulkOperation]:
        """Those that are to be carried out, oldest first."""
        query = sa.select(bulk_operations).where(bulk_operations.c.state == str(BulkState.RUNNING))
        with self._database.snapshot() as connection:
            return [_operation(row) for row in connection.execute(query.order_by(bulk_operations.c.id))]

    def change(self, operation_id: str, what: str, scope: Scope, by: By) -> BulkOperation | BulkState | None:
        """Pause, resume or cancel one (`CHANGES`): it afterwards, or the state that does not allow it, or None."""
        after, allowed = CHANGES[what]
        with self._database.transaction() as connection:
            before = _locked(connection, operation_id, scope)
            if before is None or before.state not in allowed:
                return None if before is None else before.state
            values: dict[str, Any] = {"state": str(after), "changed_at": utcnow()}
            if after is BulkState.CANCELLED:
                values["finished_at"] = utcnow()
            row = _set(connection, operation_id, values)
            states = {"state": str(before.state)}, {"state": str(after)}
            change = Change(Act.BULK_OPERATION, f"operation:{operation_id}", *states, before.scope.organization)
            record(connection, by, change)
        return _operation(row)

    def step(self, operation_id: str, most: int) -> Piece:
        """Do the operation to at most `most` of the jobs that it has not seen yet."""
        with self._database.transaction() as connection:
            found = _locked(connection, operation_id, Scope())
            if found is None or found.state is not BulkState.RUNNING:
                return Piece([], True)
            rows = _next(connection, found, most)
            moved = self._move(connection, found, rows) if rows else []
            values: dict[str, Any] = {"changed_at": utcnow(), "done": found.done + len(rows)}
            if rows:
                values["last_id"] = rows[-1].job_id
            over = len(rows) < most
            if over:
                values |= {"state": str(BulkState.DONE), "finished_at": utcnow()}
            _set(connection, operation_id, values)
        return Piece(moved, over)

    def _move(self, connection: sa.Connection, operation: BulkOperation, rows: Sequence[Any]) -> list[WorkItem]:
        transition = _TRANSITIONS[operation.act]
        reopen_jobs(connection, [row.job_id for row in rows])
        rerouted = operation.act is BulkAct.REROUTE
        # Only a job that was given a plan has been let through by the guards.
        routed = [row for row in rows if rerouted and row.plan_key is not None]
        guarded = [row for row in rows if not rerouted or row.plan_key is None]
        for stage, some in ((Stage.ROUTE, routed), (Stage.GUARD, guarded)):
            if some:
                values = {**afresh(), "stage": str(stage), "state": str(target(transition))}
                if stage is Stage.GUARD:
                    values["verdict"] = None
                _again(connection, some, values, operation.changes)
        events = [
            event_row(row.job_id, row.organization, Event.of(_said(operation, row), operation.created_by))
            for row in rows
        ]
        connection.execute(self._insert_events, {"rows": encode_rows(events)})
        stages = {row.job_id: stage for stage, some in ((Stage.ROUTE, routed), (Stage.GUARD, guarded)) for row in some}
        return [WorkItem(row.job_id, stages[row.job_id], Lane(row.lane)) for row in rows]


def _said(operation: BulkOperation, row: Any) -> Retried | Rerouted:
    said: dict[str, Any] = {
        "reason": operation.reason, "before": State.FAILED, "failure": row.failure, "attempts": row.attempts
    }  # fmt: skip
    return Rerouted(**said, changes=operation.changes) if operation.act is BulkAct.REROUTE else Retried(**said)


def _again(connection: sa.Connection, rows: Sequence[Any], values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Where constraints change, jobs of the same constraints are written together."""
    if not changes:
        chosen = open_jobs.c.id.in_([row.job_id for row in rows])
        connection.execute(sa.update(open_jobs).where(chosen).values(values))
        return
    alike: dict[bytes, list[Any]] = {}
    for row in rows:
        alike.setdefault(encode_rows([row.constraints or {}]).encode(), []).append(row)
    for some in alike.values():
        before = some[0].constraints or Constraints().to_json()
        chosen = open_jobs.c.id.in_([row.job_id for row in some])
        statement = sa.update(open_jobs).where(chosen).values({**values, "constraints": {**before, **changes}})
        connection.execute(statement)


def _next(connection: sa.Connection, operation: BulkOperation, most: int) -> Sequence[Any]:
    """The next jobs by id, locked. What failed after the operation was made is none of its own."""
    columns = (
        id_text(results.c.job_id), results.c.failure, results.c.plan_key, results.c.attempts, jobs.c.lane,
        jobs.c.organization,
        sa.func.coalesce(results.c.constraints, jobs.c.constraints).label("constraints"),
    )  # fmt: skip
    query = dead_letters(operation.filter, operation.scope, *columns)
    query = query.where(results.c.finished_at <= operation.created_at)
    if operation.last_id is not None:
        query = query.where(results.c.job_id > operation.last_id)
    query = query.order_by(results.c.job_id).limit(most).with_for_update(of=results)
    found: Sequence[Any] = connection.execute(query).all()
    return found


def _locked(connection: sa.Connection, operation_id: str, scope: Scope) -> BulkOperation | None:
    mine = (bulk_operations.c.id == operation_id, *within(scope, bulk_operations))
    row = connection.execute(sa.select(bulk_operations).where(*mine).with_for_update()).first()
    return None if row is None else _operation(row)


def _set(connection: sa.Connection, operation_id: str, values: dict[str, Any]) -> Any:
    statement = sa.update(bulk_operations).where(bulk_operations.c.id == operation_id).values(values)
    return connection.execute(statement.returning(*bulk_operations.c)).one()


def _operation(row: Any) -> BulkOperation:
    return BulkOperation(
        row.id,
        Scope(row.organization, row.workspace, row.user_id),
        row.name,
        BulkAct(row.act),
        DeadLetterFilter.from_json(row.filter),
        row.created_by,
        row.reason,
        row.created_at,
        row.changed_at,
        row.changes or {},
        row.per_second,
        BulkState(row.state),
        row.last_id,
        row.done,
        row.finished_at,
        row.repeats,
    )
