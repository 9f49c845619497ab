"""What people do to jobs: cancel, retry, reroute. Scoped to what they may see, and always recorded."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Event
from synthralos.domain.states import TERMINAL, Lane, Stage, State, Transition, sources, target
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.log_rows import event_row, insert_events
from synthralos.store.queue.sweeps import WorkItem
from synthralos.store.scope import Scope
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import jobs


@dataclass(frozen=True, slots=True)
class Changed:
    """The job is now at `state`; `work_item` says where to ring, if anywhere."""

    state: State
    work_item: WorkItem


@dataclass(frozen=True, slots=True)
class Refused:
    """The transition is not possible from the job's `state`."""

    transition: Transition
    state: State


class Operations:
    """Each operation is one transaction on one job; None means: no such job within the scope."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_events = insert_events(database.dialect)
        self._ledger = Ledger(database.dialect)

    def cancel(self, job_id: str, scope: Scope, actor: str, reason: str = "") -> Changed | Refused | None:
        """Call the job off. A call that is in flight is cut; what it cost stays on the books."""
        values = {"finished_at": utcnow(), "run_at": None, "worker_id": None, "stage": Stage.ANALYZE}
        return self._apply(Transition.CANCEL, job_id, scope, actor, {"reason": reason}, values)

    def retry(self, job_id: str, scope: Scope, actor: str, reason: str = "") -> Changed | Refused | None:
        """Send a dead, denied, cancelled or expired job through again from the start; its history is kept."""
        values = {**_afresh(), "stage": Stage.GUARD, "deadline": _if_still_ahead(), "claim_no": jobs.c.claim_no + 1}
        return self._apply(Transition.RETRY, job_id, scope, actor, {"reason": reason}, values)

    def reroute(
        self, job_id: str, scope: Scope, actor: str, changes: dict[str, Any], reason: str = ""
    ) -> Changed | Refused | None:
        """Route the job anew with `changes` (keys of `Constraints.to_json`) laid over its constraints.

        An active job is taken from its worker: a result of the running call is booked, and not used.
        """
        data = {"reason": reason, "changes": changes}
        values = {
            **_afresh(),
            "stage": Stage.ROUTE,
            "deadline": _if_still_ahead(),
            "claim_no": jobs.c.claim_no + 1,
            "worker_id": None,
        }
        return self._apply(Transition.REROUTE, job_id, scope, actor, data, values, changes)

    def _apply(
        self,
        transition: Transition,
        job_id: str,
        scope: Scope,
        actor: str,
        data: dict[str, Any],
        values: dict[str, Any],
        constraint_changes: dict[str, Any] | None = None,
    ) -> Changed | Refused | None:
        with self._database.transaction() as connection:
            columns = (jobs.c.state, jobs.c.lane, jobs.c.organization, jobs.c.constraints, jobs.c.failure)
            found = sa.select(*columns).where(jobs.c.id == job_id, *scope.conditions(jobs)).with_for_update()
            before = connection.execute(found).one_or_none()
            if before is None:
                return None
            state = State(before.state)
            if state not in sources(transition):
                return Refused(transition, state)
            if constraint_changes:
                values = {**values, "constraints": {**before.constraints, **constraint_changes}}
            changed = sa.update(jobs).where(jobs.c.id == job_id).values(state=target(transition), **values)
            row = connection.execute(changed.returning(jobs.c.stage, jobs.c.state)).one()
            if state is State.ACTIVE:
                self._ledger.write_off(connection, [job_id])
            kept = {"from": state, "failure": before.failure} if state in TERMINAL else {"from": state}
            event = Event(str(transition), actor, {**data, **kept})
            connection.execute(
                self._insert_events, {"rows": encode_rows([event_row(job_id, before.organization, event)])}
            )
        return Changed(State(row.state), WorkItem(job_id, Stage(row.stage), Lane(before.lane)))


def _afresh() -> dict[str, Any]:
    """A new life: earlier attempts stay on the books, but no longer count against the job."""
    return {
        "plan_key": None,
        "plan_cursor": None,
        "failure": None,
        "finished_at": None,
        "analyzed_at": None,
        "run_at": None,
        "losses": 0,
        "retry_base": jobs.c.attempts,
        "rung_at": utcnow(),
    }


def _if_still_ahead() -> sa.ColumnElement[Any]:
    return sa.case((jobs.c.deadline > utcnow(), jobs.c.deadline), else_=sa.null())
