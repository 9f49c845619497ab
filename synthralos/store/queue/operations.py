"""What people do to jobs: cancel, retry, reroute. Scoped to what they may see, and always recorded."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.events import Cancelled, Event, Rerouted, Retried
from synthralos.domain.jobs import Constraints
from synthralos.domain.repairs import awaits_repair
from synthralos.domain.retention import REMOVED_REQUEST
from synthralos.domain.scope import Scope
from synthralos.domain.states import TERMINAL, Lane, Stage, State, Transition, sources, target
from synthralos.domain.work_items import WorkItem
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.ending import end_jobs, reopen_jobs, withdraw_waits
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.repairs import take_turn
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import encode_json, utcnow
from synthralos.store.tables import all_jobs, jobs, open_jobs, results


@dataclass(frozen=True, slots=True)
class Changed:
    """The job is now at `state`; `work_item` says where to ring, if anywhere."""

    state: State
    work_item: WorkItem


@dataclass(frozen=True, slots=True)
class Refused:
    """The transition is not possible from the job's `state`, is not that repair's any more, or needs a request.

    `emptied`: the job's request is not kept any more.
    """

    transition: Transition
    state: State
    repair_id: str | None = None
    emptied: bool = False


_FOUND = ("id", "state", "stage", "lane", "organization", "constraints", "failure", "plan_key", "attempts")
_EMPTIED = (sa.type_coerce(all_jobs.c.request, sa.Text()) == encode_json(REMOVED_REQUEST)).label("emptied")
"""Whether its request was removed when its time was over."""


class Operations:
    """Each operation is one transaction on one job; None means: no such job within the scope."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_events = EVENTS.insert(database.dialect)
        self._ledger = Ledger(database.dialect)

    def cancel(self, job_id: str, scope: Scope, actor: str, reason: str = "") -> Changed | Refused | None:
        """Call the job off. A call that is in flight is cut; what it cost stays on the books."""
        with self._database.transaction() as connection:
            found = self._found(connection, Transition.CANCEL, job_id, scope)
            if not isinstance(found, _Before):
                return found
            self._ledger.write_off(connection, [job_id])
            end_jobs(connection, [job_id], target(Transition.CANCEL))
            self._note(
                connection,
                found,
                Event.of(Cancelled(reason=reason, before=found.state, attempts=found.row.attempts), actor),
            )
            found.record(connection, Transition.CANCEL, By(actor, reason))
        return Changed(target(Transition.CANCEL), WorkItem(job_id, Stage.ANALYZE, Lane(found.row.lane)))

    def retry(
        self, job_id: str, scope: Scope, actor: str, reason: str = "", repair_id: str | None = None
    ) -> Changed | Refused | None:
        """Send a dead, denied, cancelled or expired job through again from the start; its history is kept.

        One that is parked for a repair is routed anew, as what it has made of its calls still counts. With `repair_id`,
        only if that repair has not moved it yet, and nobody else has.
        """
        return self._again(Transition.RETRY, job_id, scope, actor, reason, repair_id=repair_id)

    def reroute(
        self,
        job_id: str,
        scope: Scope,
        actor: str,
        changes: dict[str, Any],
        reason: str = "",
        repair_id: str | None = None,
    ) -> Changed | Refused | None:
        """Route the job anew with `changes` (keys of `Constraints.to_json`) laid over its constraints.

        An active job is taken from its worker: a result of the running call is booked, and not used. A job that the
        guards have not let through yet, or that they denied, is guarded first. `repair_id`: see `retry`.
        """
        return self._again(Transition.REROUTE, job_id, scope, actor, reason, changes, repair_id)

    def _again(
        self,
        transition: Transition,
        job_id: str,
        scope: Scope,
        actor: str,
        reason: str,
        changes: dict[str, Any] | None = None,
        repair_id: str | None = None,
    ) -> Changed | Refused | None:
        with self._database.transaction() as connection:
            found = self._found(connection, transition, job_id, scope)
            if not isinstance(found, _Before):
                return found
            if repair_id is not None and not (found.repairable and take_turn(connection, repair_id, job_id)):
                return Refused(transition, found.state, repair_id)
            again = changes is None and not found.awaits_repair
            stage = Stage.GUARD if again or not found.guarded else Stage.ROUTE
            said: dict[str, Any] = {"reason": reason, "before": found.state, "attempts": found.row.attempts}
            if found.state in TERMINAL:
                reopen_jobs(connection, [job_id])
                said["failure"] = found.row.failure
            else:
                self._ledger.write_off(connection, [job_id])
                withdraw_waits(connection, [job_id])
            values = {**afresh(), "stage": stage, "state": target(transition)}
            if found.awaits_repair:
                del values["retry_base"]
            if stage is Stage.GUARD:
                values["verdict"] = None
            if changes:
                before = Constraints().to_json() if found.row.constraints is None else found.row.constraints
                values["constraints"] = {**before, **changes}
            connection.execute(sa.update(open_jobs).where(open_jobs.c.id == job_id).values(values))
            payload = Retried(**said) if changes is None else Rerouted(**said, changes=changes)
            self._note(connection, found, Event.of(payload, actor))
            found.record(connection, transition, By(actor, reason), changes)
        return Changed(target(transition), WorkItem(job_id, stage, Lane(found.row.lane)))

    def _found(
        self, connection: sa.Connection, transition: Transition, job_id: str, scope: Scope
    ) -> "_Before | Refused | None":
        """The job, locked, if the transition is possible."""
        visible = sa.select(jobs.c.id).where(jobs.c.id == job_id, *within(scope, jobs))
        while True:
            if connection.execute(visible).one_or_none() is None:
                return None
            if _locked(connection, job_id):
                break
        columns = [*(all_jobs.c[name] for name in _FOUND), _EMPTIED]
        row = connection.execute(sa.select(*columns).where(all_jobs.c.id == job_id)).one()
        found = _Before(State(row.state), row)
        if row.emptied and found.state in TERMINAL and transition is not Transition.CANCEL:
            return Refused(transition, found.state, emptied=True)
        possible = found.state in sources(transition) or (transition is Transition.RETRY and found.awaits_repair)
        return found if possible else Refused(transition, found.state)

    def _note(self, connection: sa.Connection, found: "_Before", event: Event) -> None:
        row = event_row(found.row.id, found.row.organization, event)
        connection.execute(self._insert_events, {"rows": encode_rows([row])})


@dataclass(frozen=True, slots=True)
class _Before:
    """The job as the operation found it."""

    state: State
    row: Any

    @property
    def awaits_repair(self) -> bool:
        """Whether it is parked for a repair by StackStorm."""
        return awaits_repair(self.state, self.row.stage)

    @property
    def repairable(self) -> bool:
        """Whether a repair may move it: it is parked for one, or ended badly. Else somebody else has moved it."""
        return self.awaits_repair or self.state in sources(Transition.RETRY)

    @property
    def guarded(self) -> bool:
        """Whether the guards are known to have let it through: only then it was given a plan."""
        return self.state is not State.DENIED and self.row.plan_key is not None

    def record(
        self, connection: sa.Connection, transition: Transition, by: By, changes: dict[str, Any] | None = None
    ) -> None:
        """Put the operation into the audit log, beside what was changed by the same people elsewhere."""
        before, after = {"state": str(self.state)}, {"state": str(target(transition))}
        said = after if changes is None else {**after, "constraints": changes}
        change = Change(_ACTS[transition], f"job:{self.row.id}", before, said, self.row.organization)
        record(connection, by, change)


_ACTS = {
    Transition.CANCEL: Act.CANCEL_JOB,
    Transition.RETRY: Act.RETRY_JOB,
    Transition.REROUTE: Act.REROUTE_JOB,
}


def _locked(connection: sa.Connection, job_id: str) -> bool:
    """Lock the job's row where it is now; False where it is in neither table, on its way from one to the other."""
    for table, key in ((open_jobs, open_jobs.c.id), (results, results.c.job_id)):
        if connection.execute(sa.select(key).where(key == job_id).with_for_update(of=table)).one_or_none() is not None:
            return True
    return False


def afresh() -> dict[str, Any]:
    """What a job gets for a new life: earlier attempts stay on the books, but no longer count against the job."""
    job = open_jobs.c
    return {
        "claim_no": job.claim_no + 1,
        "worker_id": None,
        "in_flight": False,
        "plan_key": None,
        "plan_cursor": None,
        "failure": None,
        "run_at": None,
        "losses": 0,
        "rings": 0,
        "line": None,
        "line_tokens": None,
        "retry_base": job.attempts,
        "notified_at": utcnow(),
        "deadline": sa.case((job.deadline > utcnow(), job.deadline), else_=sa.null()),
    }
