"""Claiming jobs: the one way in which a worker gets the right to work on a job."""

import threading
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Claim, Constraints, Job, Request, Tenant
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane, Stage, Transition, sources, target
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.routing_plans import stored_plans
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import is_transient
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, id_text, one_of, utcnow
from synthralos.store.tables import jobs, processes

MOST_GIVEN_BACK = 3
"""Losses after which a forgotten job is left with its worker: each may have been a call that is paid for, and a job
whose end cannot be written must not be called for ever. The sweeper judges it when the worker ends."""

_RETURNED = (
    id_text(jobs.c.id), jobs.c.organization, jobs.c.workspace, jobs.c.user_id, jobs.c.organization_plan, jobs.c.lane,
    jobs.c.trace_id, jobs.c.parent_span_id, jobs.c.model, jobs.c.request, jobs.c.constraints, jobs.c.claim_no,
    jobs.c.attempts, jobs.c.plan_key, jobs.c.plan_cursor, jobs.c.failure, jobs.c.created_at, jobs.c.deadline,
    jobs.c.rung_at, sa.func.length(sa.cast(jobs.c.request, sa.Text)).label("size"),
)  # fmt: skip


class Claims:
    """Fenced claims: each raises the job's `claim_no`, and every later write must carry that number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claim = _claim(database.dialect)
        self._settle_down = _settle_down(database.dialect)
        self._confirm = _confirm(database.dialect)
        self._give_back = _give_back(database.dialect)
        self._ledger = Ledger(database.dialect)
        self._in_doubt: set[tuple[str, Claim]] = set()
        self._lock = threading.Lock()

    def claim(self, stage: Stage, job_ids: Sequence[str], worker_id: str) -> list[Job]:
        """Take those of `job_ids` that are queued at `stage`; the others are somebody else's, or done.

        Rows that another transaction holds are skipped, not waited for. A worker that was declared lost
        gets nothing. Where the connection breaks during the commit, nobody knows whether it was done: the next
        call with the same ids finds out, so that no job stays with a worker that does not know of it.
        """
        parameters = {"ids": encode_rows([{"id": i} for i in job_ids]), "at_stage": stage, "by_worker": worker_id}
        doubtful = self._take_doubts(set(job_ids))
        rows: list[sa.Row[Any]] = []
        try:
            with self._database.transaction() as connection:
                if doubtful:
                    fences = {"rows": encode_rows(map(_fence, doubtful))}
                    connection.execute(self._settle_down, fences)
                    rows.extend(connection.execute(self._confirm, fences))
                rows.extend(connection.execute(self._claim, parameters))
                plans = stored_plans(connection, {row.plan_key for row in rows})
        except Exception as error:
            if is_transient(error):
                self._doubt(doubtful | {(row.id, Claim(worker_id, row.claim_no)) for row in rows})
            raise
        return [_job(row, stage, worker_id, plans) for row in rows]

    def take(self, stage: Stage, job_ids: Sequence[str], worker_id: str, *, doubtful: bool = False) -> list[Job]:
        """See `claim`; every job is really claimed, so it does not matter whether it is `doubtful`."""
        return self.claim(stage, job_ids, worker_id)

    def active(self, worker_id: str) -> list[tuple[str, int]]:
        """(job id, claim number) of the jobs that the worker holds."""
        query = sa.select(id_text(jobs.c.id), jobs.c.claim_no).where(
            jobs.c.finished_at.is_(None),
            one_of(jobs.c.state, sources(Transition.RELEASE)),
            jobs.c.worker_id == sa.bindparam("worker", worker_id, type_=Id),
        )
        with self._database.snapshot() as connection:
            return [(row.id, row.claim_no) for row in connection.execute(query)]

    def give_back(self, worker_id: str, claims: Sequence[tuple[str, int]]) -> list[tuple[str, Stage, Lane]]:
        """Queue the jobs that the worker holds under exactly these claims, and count a loss; an open attempt is lost.

        (id, stage, lane) of those that were still held, and were not lost `MOST_GIVEN_BACK` times before.
        """
        rows = [{"id": i, "worker_id": worker_id, "claim_no": claim_no} for i, claim_no in claims]
        with self._database.transaction() as connection:
            freed = connection.execute(self._give_back, {"rows": encode_rows(rows)}).all()
            self._ledger.write_off(connection, [row.id for row in freed])
        return [(row.id, Stage(row.stage), Lane(row.lane)) for row in freed]

    def _doubt(self, claims: set[tuple[str, Claim]]) -> None:
        with self._lock:
            self._in_doubt |= claims

    def _take_doubts(self, job_ids: set[str]) -> set[tuple[str, Claim]]:
        with self._lock:
            taken = {doubt for doubt in self._in_doubt if doubt[0] in job_ids}
            self._in_doubt -= taken
        return taken


def _fence(doubt: tuple[str, Claim]) -> dict[str, Any]:
    job_id, claim = doubt
    return {"id": job_id, "worker_id": claim.worker_id, "claim_no": claim.claim_no}


def _claim(dialect: str) -> Any:
    ids = recordset(dialect, "ids", {"id": Id})
    alive = sa.exists().where(processes.c.id == sa.bindparam("by_worker", type_=Id), processes.c.state == "running")
    picked = (
        sa.select(jobs.c.id)
        .join(ids, ids.c.id == jobs.c.id)
        .where(one_of(jobs.c.state, sources(Transition.CLAIM)), jobs.c.stage == sa.bindparam("at_stage"), alive)
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


def _settle_down(dialect: str) -> Any:
    """Wait for the commits in doubt: a server may still be at it long after the connection broke."""
    rows = recordset(dialect, "rows", {"id": Id})
    return sa.select(jobs.c.id).join(rows, jobs.c.id == rows.c.id).order_by(jobs.c.id).with_for_update(of=jobs)


def _confirm(dialect: str) -> Any:
    """Claim anew the jobs that are held under exactly the claims of `rows`."""
    rows = recordset(dialect, "rows", {"id": Id, "worker_id": Id, "claim_no": sa.Integer()})
    return sa.update(jobs).where(*_held(rows)).values(claim_no=jobs.c.claim_no + 1).returning(*_RETURNED)


def _give_back(dialect: str) -> Any:
    """Queue the jobs that are held under exactly the claims of `rows`."""
    rows = recordset(dialect, "rows", {"id": Id, "worker_id": Id, "claim_no": sa.Integer()})
    values = {
        "state": target(Transition.RELEASE),
        "worker_id": None,
        "rung_at": utcnow(),
        "losses": jobs.c.losses + 1,
    }
    few = jobs.c.losses < MOST_GIVEN_BACK
    returned = (id_text(jobs.c.id), jobs.c.stage, jobs.c.lane)
    return sa.update(jobs).where(*_held(rows), few).values(values).returning(*returned)


def _held(rows: Any) -> list[sa.ColumnElement[bool]]:
    return [
        jobs.c.id == rows.c.id,
        jobs.c.state == target(Transition.CLAIM),
        jobs.c.worker_id == rows.c.worker_id,
        jobs.c.claim_no == rows.c.claim_no,
    ]


def _job(row: Any, stage: Stage, worker_id: str, plans: dict[str, RoutingPlan]) -> Job:
    plan = plans.get(row.plan_key)
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
        plan=None if plan is None else plan.at(row.plan_cursor or 0),
        failure=row.failure,
        queued_at=row.rung_at,
        size=row.size,
    )
