"""The rows and statements with which a worker's writes change `jobs`, fenced by the claim."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import FromClause

from synthralos.domain.jobs import Job
from synthralos.domain.states import TERMINAL, TRANSITIONS, Stage, State, Transition
from synthralos.domain.writes import Settlement, Start
from synthralos.store.sql.recordset import Columns
from synthralos.store.sql.types import Id, Json, utc_in, utcnow
from synthralos.store.tables import jobs

START_COLUMNS: Columns = {
    "id": Id,
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "attempt_no": sa.Integer(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": Json,
}
SETTLE_COLUMNS: Columns = {
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


def _fence(row: Job) -> dict[str, Any]:
    return {"id": row.id, "worker_id": row.claim.worker_id, "claim_no": row.claim.claim_no}


def start_row(start: Start) -> dict[str, Any]:
    """A start as `start_jobs` takes it."""
    verdict = start.job.verdict
    return {
        **_fence(start.job),
        "attempt_no": start.attempt_no,
        "plan_key": start.plan.key,
        "plan_cursor": start.plan.cursor,
        "verdict": None if verdict is None else verdict.to_json(),
    }


def settle_row(s: Settlement) -> dict[str, Any]:
    """A settlement as `settle_jobs` takes it; `ValueError` for a transition that is not a worker's."""
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


def start_jobs(rows: FromClause) -> sa.Update:
    """An attempt begins, for those of `rows` (`START_COLUMNS`) whose claim holds."""
    values = {
        "stage": Stage.EXECUTE,
        "attempts": rows.c.attempt_no,
        "plan_key": rows.c.plan_key,
        "plan_cursor": rows.c.plan_cursor,
        "verdict": sa.func.coalesce(rows.c.verdict, jobs.c.verdict),
    }
    return sa.update(jobs).where(*_held(rows)).values(values)


def settle_jobs(rows: FromClause) -> sa.Update:
    """What becomes of the jobs, for those of `rows` (`SETTLE_COLUMNS`) whose claim holds."""
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
    return sa.update(jobs).where(*_held(rows)).values(values)
