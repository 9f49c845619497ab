"""Whole jobs by id in one round trip, for whoever is asked for one job at a time, many times a second."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from synthralos.domain.jobs import Constraints
from synthralos.domain.scope import EVERYTHING
from synthralos.store.read.jobs import Reader, Row, set_plan
from synthralos.store.read.trace_rows import COST_MISSING, MAYBE_BILLED
from synthralos.store.sql.database import Database
from synthralos.store.sql.prepared import Prepared
from synthralos.store.sql.types import Id, decode_money, id_text
from synthralos.store.tables import all_jobs, attempts, routing_plans

job = all_jobs.c

_SPENT = (
    sa.select(
        sa.func.sum(attempts.c.cost_picousd).label("cost"),
        sa.func.count().filter(COST_MISSING).label("cost_unknown"),
        sa.func.count().filter(MAYBE_BILLED).label("maybe_billed"),
    )
    .where(attempts.c.job_id == job.id)
    .lateral("spent")
)
_COLUMNS = (
    id_text(job.id), job.organization, job.workspace, job.user_id, job.lane, job.state, job.stage, job.trace_id,
    job.run_id, id_text(job.api_key_id), job.model, job.metadata, job.attempts, job.failure, job.created_at,
    job.run_at, job.deadline, job.finished_at, job.request, job.constraints, job.verdict, job.result, job.plan_cursor,
    routing_plans.c.body.label("plan_body"), _SPENT.c.cost, _SPENT.c.cost_unknown, _SPENT.c.maybe_billed,
)  # fmt: skip
_NAMES = [column.name for column in _COLUMNS]
_TIMES = ("created_at", "run_at", "deadline", "finished_at")
_NO_CONSTRAINTS = Constraints().to_json()


class WholeJobs:
    """Reads jobs as `job_view` takes them, without a scope: who asks compares the tenant.

    On PostgreSQL it is one prepared statement, and what is only passed on stays the JSON text that it is stored as
    (`orjson.Fragment`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = Reader(database)
        self._prepared = Prepared(_whole()) if database.dialect == "postgresql" else None

    def read(self, job_ids: Sequence[str]) -> dict[str, Row]:
        """Those of `job_ids` that there are, by id."""
        if self._prepared is None:
            return self._reader.jobs(job_ids, EVERYTHING)
        rows = self._prepared.run(self._database, {"ids": list(job_ids)})
        return {row[0]: _row(row) for row in rows}


def _whole() -> Any:
    ids: Any = sa.bindparam("ids")
    plans = all_jobs.join(routing_plans, routing_plans.c.key == job.plan_key, isouter=True)
    wanted = job.id == sa.any_(sa.cast(ids, postgresql.ARRAY(Id)))
    return sa.select(*_COLUMNS).select_from(plans.join(_SPENT, sa.true(), isouter=True)).where(wanted)


def _row(values: tuple[Any, ...]) -> Row:
    row: Row = dict(zip(_NAMES, values, strict=True))
    for name in _TIMES:
        row[name] = _utc(row[name])
    for name in ("failure", "verdict", "result", "metadata", "constraints"):
        row[name] = None if row[name] is None else orjson.Fragment(row[name])
    row["metadata"] = row["metadata"] or {}
    row["constraints"] = row["constraints"] or _NO_CONSTRAINTS
    row["request"] = orjson.loads(row["request"])
    row["cost"] = decode_money(row["cost"]) or Decimal(0)
    row["cost_known"] = not row.pop("cost_unknown")
    body = row.pop("plan_body")
    set_plan(row, None if body is None else orjson.loads(body))
    return row


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
