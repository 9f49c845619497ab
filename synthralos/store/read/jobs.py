"""Reading jobs and their timelines. Everything here takes a `Scope` and shows nothing outside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome, PastAttempt
from synthralos.domain.failures import Failure
from synthralos.domain.states import OPEN, State
from synthralos.store.scope import Scope
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, id_text
from synthralos.store.tables import attempts, event_logs, jobs, plans, spans

Row = dict[str, Any]

MOST_TRACE_IDS = 100
"""Job ids that are listed with a trace."""


def _spent(label: str, amount: sa.ColumnElement[Any]) -> sa.Label[Any]:
    """A sum over a job's attempts, as a column of the job."""
    return sa.select(sa.func.sum(amount)).where(attempts.c.job_id == jobs.c.id).scalar_subquery().label(label)


_COST_MISSING = sa.and_(attempts.c.billed != Billed.NO, attempts.c.cost_picousd.is_(None))
_SUMMARY = (
    id_text(jobs.c.id), jobs.c.organization, jobs.c.workspace, jobs.c.user_id, jobs.c.lane, jobs.c.state, jobs.c.stage,
    jobs.c.trace_id, jobs.c.parent_span_id, jobs.c.run_id, jobs.c.model, jobs.c.metadata, jobs.c.attempts,
    jobs.c.failure, jobs.c.created_at, jobs.c.run_at, jobs.c.deadline, jobs.c.finished_at,
    _spent("cost", attempts.c.cost_picousd),
    _spent("cost_unknown", sa.case((_COST_MISSING, 1), else_=0)),
    _spent("maybe_billed", sa.case((attempts.c.billed == Billed.MAYBE, 1), else_=0)),
)  # fmt: skip
_DETAIL = (
    *_SUMMARY, jobs.c.request, jobs.c.constraints, jobs.c.verdict, jobs.c.result, jobs.c.losses, jobs.c.analyzed_at,
    jobs.c.plan_cursor, plans.c.body.label("plan_body"),
)  # fmt: skip


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
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace at a glance. `newest_match` is the newest of its jobs that the filters let through.

    `job_ids` are its newest jobs, oldest first, `MOST_TRACE_IDS` at most; `states` counts all its jobs by state.
    `ended_at` is None while a job is open. `cost` is in USD, the known part.
    """

    trace_id: str
    newest_match: str
    job_ids: list[str]
    states: dict[str, int]
    started_at: datetime
    ended_at: datetime | None
    cost: Decimal
    cost_known: bool
    maybe_billed: int


class Reader:
    """Reads jobs as dicts keyed by column (times as `datetime`, money as `Decimal`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Made once: whoever waits for a job reads it twice, and building a statement costs as much as running it.
        ids = recordset(database.dialect, "ids", {"id": Id})
        joined = jobs.join(ids, ids.c.id == jobs.c.id)
        self._jobs = sa.select(*_DETAIL).select_from(
            joined.join(plans, plans.c.key == jobs.c.plan_key, isouter=True)
        ).where(*_within_scope())  # fmt: skip
        self._states = sa.select(id_text(jobs.c.id), jobs.c.state, jobs.c.stage, jobs.c.finished_at).select_from(joined)

    def jobs(self, job_ids: Sequence[str], scope: Scope) -> dict[str, Row]:
        """The jobs of `job_ids` within the scope, by id, in full: with request, result, plan and costs."""
        parameters = {
            **_ids(job_ids),
            "in_organization": scope.organization,
            "in_workspace": scope.workspace,
            "of_user": scope.user,
        }
        with self._database.snapshot() as connection:
            return {row["id"]: _published(row) for row in connection.execute(self._jobs, parameters).mappings()}

    def states(self, job_ids: Sequence[str]) -> dict[str, tuple[str, str, datetime | None]]:
        """(state, stage, finished_at) of jobs, without a scope: for waiting on jobs that were looked up before."""
        with self._database.snapshot() as connection:
            found = connection.execute(self._states, _ids(job_ids))
            return {r.id: (r.state, r.stage, r.finished_at) for r in found}

    def holders(self, job_ids: Sequence[str]) -> dict[str, tuple[str, int] | None]:
        """Who holds each job: (worker id, claim number), or None where nobody does."""
        query = sa.select(jobs.c.id, jobs.c.state, jobs.c.worker_id, jobs.c.claim_no).where(jobs.c.id.in_(job_ids))
        with self._database.snapshot() as connection:
            return {
                r.id: (r.worker_id, r.claim_no) if r.state == State.ACTIVE else None for r in connection.execute(query)
            }

    def page(self, filters: Filters, scope: Scope) -> list[Row]:
        """A page of jobs, newest first, without requests and results."""
        query = sa.select(*_SUMMARY).where(*_conditions(filters), *scope.conditions(jobs))
        query = query.order_by(jobs.c.id.desc()).limit(filters.limit)
        with self._database.snapshot() as connection:
            return [_published(row) for row in connection.execute(query).mappings()]

    def by_trace(self, trace_id: str, scope: Scope) -> list[str]:
        """The ids of the jobs of a trace, oldest first (a caller's `traceparent` may hold several)."""
        query = sa.select(jobs.c.id).where(jobs.c.trace_id == trace_id, *scope.conditions(jobs)).order_by(jobs.c.id)
        with self._database.snapshot() as connection:
            return list(connection.execute(query).scalars())

    def traces(self, filters: Filters, scope: Scope) -> list[TraceRow]:
        """A page of traces by their newest matching job, newest first; jobs outside the scope do not exist."""
        later: Any = jobs.alias("later")
        newer = sa.exists().where(
            later.c.trace_id == jobs.c.trace_id,
            later.c.id > jobs.c.id,
            *_conditions(replace(filters, before=None), later),
            *scope.conditions(later),
        )
        query = sa.select(jobs.c.trace_id, jobs.c.id).where(*_conditions(filters), *scope.conditions(jobs), ~newer)
        with self._database.snapshot() as connection:
            page = connection.execute(query.order_by(jobs.c.id.desc()).limit(filters.limit)).all()
            return [_trace_row(connection, row.trace_id, row.id, scope) for row in page]

    def timeline(self, job_id: str) -> dict[str, list[Row]]:
        """`attempts`, `spans` and `events` of a job, each oldest first. The caller has checked the scope."""
        return self.timelines([job_id])[job_id]

    def timelines(self, job_ids: Sequence[str]) -> dict[str, dict[str, list[Row]]]:
        """The timelines of several jobs, by id. The caller has checked the scope."""
        with self._database.snapshot() as connection:
            found = {
                "attempts": _rows(connection, attempts, attempts.c.attempt_no, job_ids),
                "spans": _rows(connection, spans, spans.c.started_at, job_ids),
                "events": _rows(connection, event_logs, event_logs.c.id, job_ids),
            }
        timelines: dict[str, dict[str, list[Row]]] = {job_id: {kind: [] for kind in found} for job_id in job_ids}
        for kind, rows in found.items():
            for row in rows:
                timelines[row["job_id"]][kind].append(row)
        return timelines

    def histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        """The ended attempts of each job since its last explicit retry, oldest first."""
        query = (
            sa.select(attempts)
            .join(jobs, jobs.c.id == attempts.c.job_id)
            .where(
                attempts.c.job_id.in_(job_ids),
                attempts.c.outcome != Outcome.OPEN,
                attempts.c.attempt_no > jobs.c.retry_base,
            )
            .order_by(attempts.c.job_id, attempts.c.attempt_no)
        )
        histories: dict[str, list[PastAttempt]] = {job_id: [] for job_id in job_ids}
        with self._database.snapshot() as connection:
            for row in connection.execute(query):
                failure = None if row.failure is None else Failure.from_json(row.failure)
                past = PastAttempt(row.attempt_no, row.deployment, Outcome(row.outcome), failure, row.started_at)
                histories[row.job_id].append(past)
        return histories


def _ids(job_ids: Sequence[str]) -> dict[str, str]:
    return {"ids": encode_rows({"id": job_id} for job_id in job_ids)}


def _within_scope() -> list[sa.ColumnElement[bool]]:
    """A scope's conditions for a statement that is made once: a parameter that is None restricts nothing."""
    wanted = {"in_organization": jobs.c.organization, "in_workspace": jobs.c.workspace, "of_user": jobs.c.user_id}
    conditions = []
    for name, column in wanted.items():
        value = sa.bindparam(name, type_=sa.Text())
        conditions.append(sa.or_(sa.cast(value, sa.Text()).is_(None), column == value))
    return conditions


def _rows(
    connection: sa.Connection, table: sa.Table, order: sa.ColumnElement[Any], job_ids: Sequence[str]
) -> list[Row]:
    query = sa.select(table).where(table.c.job_id.in_(job_ids)).order_by(order)
    return [dict(row) for row in connection.execute(query).mappings()]


def _published(row: sa.RowMapping) -> Row:
    """A row with its `cost` (USD, the known part), `cost_known` (nothing is missing), `maybe_billed`, and `plan`."""
    job: Row = dict(row)
    job["cost"] = job["cost"] or Decimal(0)
    job["cost_known"] = not job.pop("cost_unknown")
    job["maybe_billed"] = int(job["maybe_billed"] or 0)
    if "plan_body" in job:
        body, cursor = job.pop("plan_body"), job.pop("plan_cursor")
        job["plan"] = None if body is None else {"cursor": cursor or 0, **body}
    return job


def _trace_row(connection: sa.Connection, trace_id: str, newest_match: str, scope: Scope) -> TraceRow:
    mine = (jobs.c.trace_id == trace_id, *scope.conditions(jobs))
    by_state = sa.select(
        jobs.c.state, sa.func.count().label("jobs"), sa.func.min(jobs.c.created_at).label("started"),
        sa.func.max(jobs.c.finished_at).label("ended"),
    ).where(*mine).group_by(jobs.c.state)  # fmt: skip
    states = connection.execute(by_state).all()
    newest = sa.select(jobs.c.id).where(*mine).order_by(jobs.c.id.desc()).limit(MOST_TRACE_IDS)
    spent = connection.execute(
        _spending().select_from(attempts).join(jobs, jobs.c.id == attempts.c.job_id).where(*mine)
    )
    cost = spent.one()
    is_open = any(row.state in OPEN for row in states)
    return TraceRow(
        trace_id=trace_id,
        newest_match=newest_match,
        job_ids=list(connection.execute(newest).scalars())[::-1],
        states={row.state: row.jobs for row in states},
        started_at=min(row.started for row in states),
        ended_at=None if is_open else max(row.ended for row in states),
        cost=cost.cost or Decimal(0),
        cost_known=not cost.unknown,
        maybe_billed=int(cost.maybe or 0),
    )


def _spending() -> "sa.Select[*tuple[Any, ...]]":
    """Sums over attempts: `cost` (the known part), how many of `unknown` cost, how many `maybe` billed."""
    return sa.select(
        sa.func.sum(attempts.c.cost_picousd).label("cost"),
        sa.func.sum(sa.case((_COST_MISSING, 1), else_=0)).label("unknown"),
        sa.func.sum(sa.case((attempts.c.billed == Billed.MAYBE, 1), else_=0)).label("maybe"),
    )


def _conditions(filters: Filters, table: sa.FromClause = jobs) -> list[sa.ColumnElement[bool]]:
    equal = {
        "stage": filters.stage,
        "model": filters.model,
        "lane": filters.lane,
        "workspace": filters.workspace,
        "user_id": filters.user,
        "run_id": filters.run_id,
        "trace_id": filters.trace_id,
    }
    conditions: list[sa.ColumnElement[bool]] = [
        table.c[name] == value for name, value in equal.items() if value is not None
    ]
    if filters.state:
        conditions.append(table.c.state.in_(filters.state))
    if filters.created_after is not None:
        conditions.append(table.c.created_at >= filters.created_after)
    if filters.created_before is not None:
        conditions.append(table.c.created_at < filters.created_before)
    if filters.before is not None:
        conditions.append(table.c.id < filters.before)
    return conditions
