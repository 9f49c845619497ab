"""What a worker writes about its jobs: the start of an attempt, and everything that follows from its end.

Both are fenced by the claim and come in batches. The ledger is not fenced: what was paid for is booked even
if the claim was lost meanwhile.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Job
from synthralos.domain.states import TERMINAL, TRANSITIONS, Stage, State, Transition
from synthralos.store.analysis import to_backlog
from synthralos.store.database import Database
from synthralos.store.ledger import Ledger
from synthralos.store.plans import Plans
from synthralos.store.recordset import Columns, encode_rows, recordset
from synthralos.store.tables import jobs
from synthralos.store.timeline import event_row, insert_events, insert_spans, span_row
from synthralos.store.types import Id, Json, id_text, utc_in, utcnow
from synthralos.store.writes import Settlement, Start

_START_COLUMNS: Columns = {
    "id": Id,
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "attempt_no": sa.Integer(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": Json,
}
_SETTLE_COLUMNS: Columns = {
    "id": Id,
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "state": sa.Text(),
    "stage": sa.Text(),
    "delay": sa.Float(),
    "finished": sa.Boolean(),
    "analyzed": sa.Boolean(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": Json,
    "failure": Json,
    "result": Json,
    "constraints": Json,
}
_KEPT = ("plan_key", "plan_cursor", "verdict", "result", "constraints")
"""What a settlement leaves as it is where it says nothing."""


class Settlements:
    """Writes starts and settlements, each batch in one transaction. Safe to repeat as they are."""

    def __init__(self, database: Database, destinations: Sequence[str] = ()) -> None:
        """`destinations`: the exporters that finished jobs are put on the backlog of."""
        self._database = database
        self._destinations = destinations
        self._ledger = Ledger(database.dialect)
        self._plans = Plans(database.dialect)
        self._start = _start(database.dialect)
        self._settle = _settle(database.dialect)
        self._insert_spans = insert_spans(database.dialect)
        self._insert_events = insert_events(database.dialect)
        self._to_backlog = to_backlog(database.dialect)

    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Book the attempts that still may begin; False where the claim was lost: do not call."""
        with self._database.transaction() as connection:
            won = _won(connection, self._start, (_start_row(s) for s in starts))
            begun = [s for s in starts if _claimed(s.job) in won]
            new_plans: set[str] = set()
            if begun:
                new_plans = self._plans.store(connection, (s.plan for s in begun))
                self._ledger.open(connection, begun)
                self._write_spans(connection, begun)
        self._plans.confirm(new_plans)
        return [_claimed(s.job) in won for s in starts]

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Write what became of the jobs; False where the claim was lost: only the ledger has changed."""
        with self._database.transaction() as connection:
            # Jobs before attempts, as everybody who takes a job from its worker does: no two wait for each other.
            won = _won(connection, self._settle, (_settle_row(s) for s in settlements))
            ended = [s for s in settlements if s.attempt is not None]
            if ended:
                self._ledger.close(connection, ended)
            written = [s for s in settlements if _claimed(s.job) in won]
            new_plans = self._plans.store(connection, (s.plan for s in written))
            self._write_spans(connection, written)
            self._write_events(connection, written)
            self._put_on_backlog(connection, written)
        self._plans.confirm(new_plans)
        return [_claimed(s.job) in won for s in settlements]

    def _write_spans(self, connection: sa.Connection, items: Sequence[Start | Settlement]) -> None:
        rows = [span_row(item.job.id, span) for item in items for span in item.spans]
        if rows:
            connection.execute(self._insert_spans, {"rows": encode_rows(rows)})

    def _write_events(self, connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
        rows = [event_row(s.job.id, s.job.tenant.organization, event) for s in settlements for event in s.events]
        if rows:
            connection.execute(self._insert_events, {"rows": encode_rows(rows)})

    def _put_on_backlog(self, connection: sa.Connection, settlements: Sequence[Settlement]) -> None:
        rows = [
            {"destination": destination, "job_id": s.job.id}
            for s in settlements
            if s.analyzed
            for destination in self._destinations
        ]
        if rows:
            connection.execute(self._to_backlog, {"rows": encode_rows(rows)})


def _won(connection: sa.Connection, statement: Any, rows: Any) -> set[tuple[str, int]]:
    """The claims that still held. Not only the jobs: a batch may hold an old claim's write beside the new one's."""
    return {(row.id, row.claim_no) for row in connection.execute(statement, {"rows": encode_rows(rows)})}


def _claimed(job: Job) -> tuple[str, int]:
    return job.id, job.claim.claim_no


def _fence(row: Job) -> dict[str, Any]:
    return {"id": row.id, "worker_id": row.claim.worker_id, "claim_no": row.claim.claim_no}


def _start_row(start: Start) -> dict[str, Any]:
    verdict = start.job.verdict
    return {
        **_fence(start.job),
        "attempt_no": start.attempt_no,
        "plan_key": start.plan.key,
        "plan_cursor": start.plan.cursor,
        "verdict": None if verdict is None else verdict.to_json(),
    }


def _settle_row(s: Settlement) -> dict[str, Any]:
    rule = TRANSITIONS[s.transition]
    if not rule.fenced and s.transition not in (Transition.CANCEL, Transition.EXPIRE):
        raise ValueError(f"{s.transition} is not a worker's transition")
    return {
        **_fence(s.job),
        "state": rule.target,
        "stage": s.stage,
        "delay": s.delay,
        "finished": rule.target in TERMINAL,
        "analyzed": s.analyzed,
        "plan_key": None if s.plan is None else s.plan.key,
        "plan_cursor": None if s.plan is None else s.plan.cursor,
        "verdict": None if s.verdict is None else s.verdict.to_json(),
        "failure": s.failure,
        "result": s.result,
        "constraints": s.constraints,
    }


def _held(rows: Any) -> list[sa.ColumnElement[bool]]:
    """The fence: the job is still active under the very claim that the row carries."""
    return [
        jobs.c.id == rows.c.id,
        jobs.c.state == State.ACTIVE,
        jobs.c.worker_id == rows.c.worker_id,
        jobs.c.claim_no == rows.c.claim_no,
    ]


def _start(dialect: str) -> Any:
    rows = recordset(dialect, "rows", _START_COLUMNS)
    values = {
        "stage": Stage.EXECUTE,
        "attempts": rows.c.attempt_no,
        "plan_key": rows.c.plan_key,
        "plan_cursor": rows.c.plan_cursor,
        "verdict": sa.func.coalesce(rows.c.verdict, jobs.c.verdict),
    }
    return sa.update(jobs).where(*_held(rows)).values(values).returning(id_text(jobs.c.id), jobs.c.claim_no)


def _settle(dialect: str) -> Any:
    rows = recordset(dialect, "rows", _SETTLE_COLUMNS)
    keep = (rows.c.state == State.ACTIVE, jobs.c.worker_id)
    values = {
        "state": rows.c.state,
        "stage": rows.c.stage,
        "worker_id": sa.case(keep, else_=sa.null()),
        "rung_at": sa.case((rows.c.state == State.QUEUED, utcnow()), else_=jobs.c.rung_at),
        "run_at": utc_in(rows.c.delay),
        "finished_at": sa.case((rows.c.finished, utcnow()), else_=sa.null()),
        "analyzed_at": sa.case((rows.c.analyzed, utcnow()), else_=sa.null()),
        **{name: sa.func.coalesce(rows.c[name], jobs.c[name]) for name in _KEPT},
        "failure": sa.case(
            (rows.c.state == State.SUCCEEDED, sa.null()), else_=sa.func.coalesce(rows.c.failure, jobs.c.failure)
        ),
    }
    return sa.update(jobs).where(*_held(rows)).values(values).returning(id_text(jobs.c.id), jobs.c.claim_no)
