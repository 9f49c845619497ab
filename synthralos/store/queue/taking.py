"""Reading jobs for a worker: all that the stages need of them, by id."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from synthralos.domain.findings import Verdict
from synthralos.domain.ids import trace_id_of
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Constraints, Job, Request, Tenant
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Lane, Stage
from synthralos.store.queue.content import PlanShelf
from synthralos.store.sql.database import Database
from synthralos.store.sql.prepared import Prepared
from synthralos.store.sql.types import Id, id_text
from synthralos.store.tables import jobs, open_jobs


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A payload as it is stored."""
    return sa.type_coerce(column, sa.Text())


_COLUMNS = (
    id_text(open_jobs.c.id), open_jobs.c.state, open_jobs.c.stage, open_jobs.c.lane, open_jobs.c.claim_no,
    open_jobs.c.attempts, open_jobs.c.losses, open_jobs.c.rings, open_jobs.c.line, open_jobs.c.plan_key,
    open_jobs.c.plan_cursor,
    _text(open_jobs.c.failure).label("failure"), _text(open_jobs.c.verdict).label("verdict"),
    open_jobs.c.notified_at, open_jobs.c.deadline, jobs.c.organization,
    jobs.c.workspace, jobs.c.user_id, jobs.c.account_plan, jobs.c.trace_id, jobs.c.parent_span_id, jobs.c.model,
    _text(jobs.c.request).label("request"), jobs.c.created_at, jobs.c.run_id, id_text(jobs.c.api_key_id),
    _text(jobs.c.metadata).label("metadata"),
    _text(sa.func.coalesce(open_jobs.c.constraints, jobs.c.constraints)).label("constraints"),
)  # fmt: skip
_NAMES = [column.name for column in _COLUMNS]

OpenRow = dict[str, Any]

_tenant = lru_cache(1024)(Tenant)


class OpenJobs:
    """Reads open jobs. One statement, without a lock; conditions on state and stage are the caller's.

    As conditions of the statement they would tempt the planner to walk the whole index of queued jobs for each id.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans = PlanShelf(database)
        joined = sa.select(*_COLUMNS).select_from(open_jobs.join(jobs, jobs.c.id == open_jobs.c.id))
        ids: Any = sa.bindparam("ids")
        if database.dialect == "postgresql":
            wanted = sa.any_(sa.cast(ids, postgresql.ARRAY(Id)))
            self._prepared = Prepared(joined.where(open_jobs.c.id == wanted))
        else:
            each = sa.func.json_each(ids).table_valued("value")
            self._several = joined.where(open_jobs.c.id.in_(sa.select(each.c.value)))

    def read(self, job_ids: Sequence[str]) -> list[OpenRow]:
        """Those of `job_ids` that are open, by column. Payloads are text."""
        if self._database.dialect == "postgresql":
            found: Sequence[Any] = self._prepared.run(self._database, {"ids": list(job_ids)})
        else:
            with self._database.snapshot() as connection:
                found = connection.execute(self._several, {"ids": orjson.dumps(list(job_ids)).decode()}).all()
        return [dict(zip(_NAMES, row, strict=True)) for row in found]

    def jobs(self, rows: Sequence[OpenRow], worker_id: str, *, held: bool) -> list[Job]:
        """The jobs of rows that were read; where the claim is not `held`, each would be the worker's next one."""
        plans = self._plans.plans(row["plan_key"] for row in rows)
        return [_job(row, Claim(worker_id, row["claim_no"] + (not held), held), plans) for row in rows]


_STAGES, _LANES = {str(stage): stage for stage in Stage}, {str(lane): lane for lane in Lane}
"""By name: asking an enumeration takes three calls, and each job asks."""


def _job(row: OpenRow, claim: Claim, plans: dict[str, RoutingPlan]) -> Job:
    plan, request, constraints = plans.get(row["plan_key"]), orjson.loads(row["request"]), row["constraints"]
    return Job(
        id=row["id"],
        tenant=_tenant(row["organization"], row["workspace"], row["user_id"], row["account_plan"]),
        stage=_STAGES[row["stage"]],
        lane=_LANES[row["lane"]],
        trace_id=row["trace_id"] or trace_id_of(row["id"]),
        request=Request(row["model"], request["body"], request["provider_options"]),
        constraints=UNCONSTRAINED if constraints is None else Constraints.from_json(orjson.loads(constraints)),
        claim=claim,
        created_at=row["created_at"],
        parent_span_id=row["parent_span_id"],
        deadline=row["deadline"],
        attempts=row["attempts"],
        losses=row["losses"],
        plan=None if plan is None else plan.at(row["plan_cursor"] or 0),
        verdict=None if row["verdict"] is None else Verdict.from_json(orjson.loads(row["verdict"])),
        failure=None if row["failure"] is None else orjson.loads(row["failure"]),
        queued_at=row["notified_at"],
        size=len(row["request"]),
        run_id=row["run_id"],
        api_key_id=row["api_key_id"],
        metadata={} if row["metadata"] is None else orjson.loads(row["metadata"]),
    )
