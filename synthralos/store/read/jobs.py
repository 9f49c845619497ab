"""Reading jobs and their timelines. Everything here takes a `Scope` and shows nothing outside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.findings import PASSED
from synthralos.domain.ids import id_at
from synthralos.domain.jobs import Constraints
from synthralos.domain.plans import published
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.read.timelines import Timelines
from synthralos.store.read.trace_rows import COST_MISSING, MAYBE_BILLED, TraceRow, of_trace, trace_rows
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import Id, id_text
from synthralos.store.tables import all_jobs, attempts, open_jobs, routing_plans

Row = dict[str, Any]

job = all_jobs.c

CLOCKS = timedelta(minutes=10)
"""So far the clock of an API process may be from the database's, for lists by time to miss none of its jobs."""


def _spent(label: str, amount: sa.ColumnElement[Any]) -> sa.Label[Any]:
    """A sum over a job's attempts, as a column of the job."""
    return sa.select(sa.func.sum(amount)).where(attempts.c.job_id == job.id).scalar_subquery().label(label)


def spending_columns() -> "tuple[sa.Label[Any], sa.Label[Any], sa.Label[Any]]":
    """What a job of `all_jobs` has cost: `cost` (USD, the known part), calls of `cost_unknown`, and `maybe_billed`."""
    return (
        _spent("cost", attempts.c.cost_picousd),
        _spent("cost_unknown", sa.case((COST_MISSING, 1), else_=0)),
        _spent("maybe_billed", sa.case((MAYBE_BILLED, 1), else_=0)),
    )


_SUMMARY = (
    id_text(job.id), job.organization, job.workspace, job.user_id, job.lane, job.state, job.stage,
    job.trace_id, job.parent_span_id, job.run_id, id_text(job.api_key_id), job.model, job.metadata, job.attempts,
    job.failure, job.created_at, job.run_at, job.deadline, job.finished_at,
    *spending_columns(),
)  # fmt: skip
_DETAIL = (
    *_SUMMARY, job.account_plan, job.request, job.constraints, job.verdict, job.result, job.losses,
    job.analyzed_at, job.plan_cursor, routing_plans.c.body.label("plan_body"),
)  # fmt: skip


_WITHOUT_RESULT = tuple(sa.null().label("result") if column is job.result else column for column in _DETAIL)


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list. `before` is a job id: the cursor of the page before (jobs are listed newest first)."""

    state: Sequence[str] = ()
    stage: str | None = None
    model: str | None = None
    lane: str | None = None
    workspace: str | None = None
    user: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    api_key_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: str | None = None
    limit: int = 50


class Reader(Timelines):
    """Reads jobs as dicts keyed by column (times as `datetime`, money as `Decimal`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        # Made once: building a statement costs as much as running it.
        ids = recordset(database.dialect, "ids", {"id": Id})
        joined = ids.join(all_jobs, ids.c.id == job.id)
        planned = joined.join(routing_plans, routing_plans.c.key == job.plan_key, isouter=True)
        self._jobs, self._resultless = (
            sa.select(*columns).select_from(planned).where(*_within_scope()) for columns in (_DETAIL, _WITHOUT_RESULT)
        )
        self._summaries = sa.select(*_SUMMARY, job.analyzed_at).select_from(joined)
        self._states = sa.select(id_text(job.id), job.state, job.stage, job.finished_at).select_from(joined)

    def jobs(self, job_ids: Sequence[str], scope: Scope, *, results: bool = True) -> dict[str, Row]:
        """The jobs of `job_ids` within the scope, by id, in full: with request, result (or None), plan and costs."""
        parameters = {
            **_ids(job_ids),
            "in_organization": scope.organization,
            "in_workspace": scope.workspace,
            "of_user": scope.user,
        }
        with self._database.snapshot() as connection:
            found = connection.execute(self._jobs if results else self._resultless, parameters).mappings()
            return {row["id"]: _published(row) for row in found}

    def summaries(self, job_ids: Sequence[str]) -> dict[str, Row]:
        """The jobs without requests and results, and `analyzed_at`; without a scope, as `states`."""
        with self._database.snapshot() as connection:
            found = connection.execute(self._summaries, _ids(job_ids)).mappings()
            return {row["id"]: _published(row) for row in found}

    def states(self, job_ids: Sequence[str]) -> dict[str, tuple[str, str, datetime | None]]:
        """(state, stage, finished_at) of jobs, without a scope: for waiting on jobs that were looked up before."""
        with self._database.snapshot() as connection:
            found = connection.execute(self._states, _ids(job_ids))
            return {r.id: (r.state, r.stage, r.finished_at) for r in found}

    def claims(self, job_ids: Sequence[str]) -> dict[str, tuple[State, int]]:
        """(state, number of the newest claim) of those of `job_ids` that are open."""
        query = sa.select(id_text(open_jobs.c.id), open_jobs.c.state, open_jobs.c.claim_no)
        with self._database.snapshot() as connection:
            found = connection.execute(query.where(open_jobs.c.id.in_(job_ids)))
            return {r.id: (State(r.state), r.claim_no) for r in found}

    def page(self, filters: Filters, scope: Scope) -> list[Row]:
        """A page of jobs, newest first, without requests and results."""
        query = sa.select(*_SUMMARY).where(*_conditions(filters), *within(scope, all_jobs))
        query = query.order_by(job.id.desc()).limit(filters.limit)
        with self._database.snapshot() as connection:
            return [_published(row) for row in connection.execute(query).mappings()]

    def by_trace(self, trace_id: str, scope: Scope, after: str | None, limit: int) -> list[tuple[str, int]]:
        """The jobs of a trace, oldest first (a caller's `traceparent` may hold many), from the one `after` that id on.

        Each with the bytes of its request and its result.
        """
        size = _length(job.request) + sa.func.coalesce(_length(job.result), 0)
        query = sa.select(id_text(job.id), size.label("size")).where(of_trace(trace_id), *within(scope, all_jobs))
        if after is not None:
            query = query.where(job.id > after)
        with self._database.snapshot() as connection:
            return [(row.id, row.size) for row in connection.execute(query.order_by(job.id).limit(limit))]

    def traces(self, filters: Filters, scope: Scope) -> list[TraceRow]:
        """A page of traces by their newest matching job, newest first; jobs outside the scope do not exist."""
        later: Any = all_jobs.alias("later")
        newer = sa.exists().where(
            # As it was given: of a trace's jobs, only the oldest may have it from its own id.
            later.c.given_trace_id == job.trace_id,
            later.c.id > job.id,
            *_conditions(replace(filters, before=None), later),
            *within(scope, later),
        )
        query = sa.select(job.trace_id, job.id).where(*_conditions(filters), *within(scope, all_jobs), ~newer)
        with self._database.snapshot() as connection:
            page = connection.execute(query.order_by(job.id.desc()).limit(filters.limit)).all()
            return trace_rows(connection, [(row.trace_id, row.id) for row in page], scope)

    def trace_rows(self, found: Sequence[tuple[str, str]], scope: Scope) -> list[TraceRow]:
        """The traces of these jobs, given as (trace id, job id), in their order."""
        with self._database.snapshot() as connection:
            return trace_rows(connection, found, scope)


def _length(text: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.func.length(sa.type_coerce(text, sa.Text()))


def _ids(job_ids: Sequence[str]) -> dict[str, str]:
    return {"ids": encode_rows({"id": job_id} for job_id in job_ids)}


def _within_scope() -> list[sa.ColumnElement[bool]]:
    """A scope's conditions for a statement that is made once: a parameter that is None restricts nothing."""
    wanted = {
        "in_organization": job.organization,
        "in_workspace": job.workspace,
        "of_user": job.user_id,
    }
    conditions = []
    for name, column in wanted.items():
        value = sa.bindparam(name, type_=sa.Text())
        conditions.append(sa.or_(sa.cast(value, sa.Text()).is_(None), column == value))
    return conditions


def _published(row: sa.RowMapping) -> Row:
    """A row with its `cost` (USD, the known part), `cost_known` (nothing is missing), `maybe_billed`, and `plan`."""
    found: Row = dict(row)
    found["cost"] = found["cost"] or Decimal(0)
    found["cost_known"] = not found.pop("cost_unknown")
    found["metadata"] = found["metadata"] or {}
    if "constraints" in found:
        found["constraints"] = found["constraints"] or Constraints().to_json()
    found["maybe_billed"] = int(found["maybe_billed"] or 0)
    if "plan_body" in found:
        set_plan(found, found.pop("plan_body"))
    return found


def set_plan(found: Row, body: dict[str, Any] | None) -> None:
    """Put the `plan` of that body into the row, for its cursor, and the `verdict` that goes without saying.

    A job that was routed has passed the guards; what they decided is stored only where they had something to say.
    """
    cursor = found.pop("plan_cursor")
    found["plan"] = None if body is None else {"cursor": cursor or 0, **published(body)}
    if found["verdict"] is None and body is not None:
        found["verdict"] = PASSED.to_json()


def _conditions(filters: Filters, table: sa.FromClause = all_jobs) -> list[sa.ColumnElement[bool]]:
    equal = {
        "stage": filters.stage,
        "model": filters.model,
        "lane": filters.lane,
        "workspace": filters.workspace,
        "user_id": filters.user,
        "run_id": filters.run_id,
        "api_key_id": filters.api_key_id,
    }
    conditions: list[sa.ColumnElement[bool]] = [
        table.c[name] == value for name, value in equal.items() if value is not None
    ]
    if filters.trace_id is not None:
        conditions.append(of_trace(filters.trace_id, table))
    if filters.state:
        conditions.append(table.c.state.in_(filters.state))
    # Ids hold the time at which the API made them, and have the index: they lead to the rows that `created_at` sorts.
    if filters.created_after is not None:
        conditions += [table.c.id >= id_at(filters.created_after - CLOCKS), table.c.created_at >= filters.created_after]
    if filters.created_before is not None:
        conditions += [table.c.id < id_at(filters.created_before + CLOCKS), table.c.created_at < filters.created_before]
    if filters.before is not None:
        conditions.append(table.c.id < filters.before)
    return conditions
