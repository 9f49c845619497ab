"""Claiming jobs: the one way in which a worker gets the right to work on a job."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Claim, Constraints, Job, Request, Tenant
from synthralos.domain.plans import Plan
from synthralos.domain.states import Lane, Stage, Transition, sources, target
from synthralos.store.database import Database
from synthralos.store.recordset import encode_rows, recordset
from synthralos.store.tables import jobs, processes
from synthralos.store.types import Id

_RETURNED = (
    jobs.c.id, jobs.c.organization, jobs.c.workspace, jobs.c.user_id, jobs.c.organization_plan, jobs.c.lane,
    jobs.c.trace_id, jobs.c.parent_span_id, jobs.c.model, jobs.c.request, jobs.c.constraints, jobs.c.claim_no,
    jobs.c.attempts, jobs.c.plan, jobs.c.failure, jobs.c.created_at, jobs.c.deadline, jobs.c.rung_at,
)  # fmt: skip


class Claims:
    """Fenced claims: each raises the job's `claim_no`, and every later write must carry that number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claim = _claim(database.dialect)

    def claim(self, stage: Stage, job_ids: Sequence[str], worker_id: str) -> list[Job]:
        """Take those of `job_ids` that are queued at `stage`; the others are somebody else's, or done.

        Rows that another transaction holds are skipped, not waited for. A worker that was declared lost
        gets nothing.
        """
        parameters = {"ids": encode_rows([{"id": i} for i in job_ids]), "at_stage": stage, "by_worker": worker_id}
        with self._database.transaction() as connection:
            rows = connection.execute(self._claim, parameters).all()
        return [_job(row, stage, worker_id) for row in rows]


def _claim(dialect: str) -> Any:
    ids = recordset(dialect, "ids", {"id": Id})
    alive = sa.exists().where(processes.c.id == sa.bindparam("by_worker", type_=Id), processes.c.state == "running")
    picked = (
        sa.select(jobs.c.id)
        .join(ids, ids.c.id == jobs.c.id)
        .where(jobs.c.state.in_(sources(Transition.CLAIM)), jobs.c.stage == sa.bindparam("at_stage"), alive)
        .with_for_update(skip_locked=True, of=jobs)
        .cte("picked")
    )
    return (
        sa.update(jobs)
        .where(jobs.c.id == picked.c.id)
        .values(
            state=target(Transition.CLAIM),
            worker_id=sa.bindparam("by_worker", type_=Id),
            claim_no=jobs.c.claim_no + 1,
        )
        .returning(*_RETURNED)
    )


def _job(row: Any, stage: Stage, worker_id: str) -> Job:
    return Job(
        id=row.id,
        tenant=Tenant(row.organization, row.workspace, row.user_id, row.organization_plan),
        stage=stage,
        lane=Lane(row.lane),
        trace_id=row.trace_id,
        request=Request(row.model, row.request["body"], row.request["provider_options"]),
        constraints=Constraints.from_json(row.constraints),
        claim=Claim(worker_id, row.claim_no),
        created_at=row.created_at,
        parent_span_id=row.parent_span_id,
        deadline=row.deadline,
        attempts=row.attempts,
        plan=None if row.plan is None else Plan.from_json(row.plan),
        failure=row.failure,
        queued_at=row.rung_at,
    )
