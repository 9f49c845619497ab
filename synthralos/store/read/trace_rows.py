"""Traces at a glance: what all jobs of a trace come to, for a page of traces at once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.ids import job_id_of
from synthralos.domain.scope import Scope
from synthralos.domain.states import OPEN
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import word
from synthralos.store.tables import all_jobs, attempts

MOST_TRACE_IDS = 100
"""Job ids that are listed with a trace."""

job = all_jobs.c

COST_MISSING = sa.and_(attempts.c.billed != word(Billed.NO), attempts.c.cost_picousd.is_(None))
MAYBE_BILLED = attempts.c.billed == word(Billed.MAYBE)


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


@dataclass(slots=True)
class _Sum:
    job_ids: list[str] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    started: list[datetime] = field(default_factory=list)
    ended: list[datetime] = field(default_factory=list)
    cost: Decimal = Decimal(0)
    unknown: int = 0
    maybe: int = 0


def of_trace(trace_id: str, table: sa.FromClause = all_jobs) -> sa.ColumnElement[bool]:
    """The jobs of a trace: it was given to them, or is the job's own. Each half has its index."""
    own = job_id_of(trace_id)
    given: sa.ColumnElement[bool] = table.c.given_trace_id == trace_id
    return given if own is None else sa.or_(given, sa.and_(table.c.given_trace_id.is_(None), table.c.id == own))


def trace_rows(connection: sa.Connection, found: Sequence[tuple[str, str]], scope: Scope) -> list[TraceRow]:
    """The traces of these jobs, given as (trace id, newest match), in their order; jobs outside the scope do not exist.

    A trace of which there is nothing (any more) is left out.
    """
    sums: dict[str, _Sum] = defaultdict(_Sum)
    for conditions in _halves([trace_id for trace_id, _ in found], scope):
        _add_states(connection, conditions, sums)
        _add_costs(connection, conditions, sums)
    for trace_id, each in sums.items():
        if sum(each.states.values()) > 1:
            mine = (of_trace(trace_id), *within(scope, all_jobs))
            newest = sa.select(job.id).where(*mine).order_by(job.id.desc()).limit(MOST_TRACE_IDS)
            each.job_ids = list(connection.execute(newest).scalars())[::-1]
    return [_row(trace_id, newest, sums[trace_id]) for trace_id, newest in found if trace_id in sums]


def _halves(trace_ids: Sequence[str], scope: Scope) -> "list[list[sa.ColumnElement[bool]]]":
    """The jobs that were given one of these ids, and those whose own it is: each half has its index."""
    own = [job_id for job_id in map(job_id_of, trace_ids) if job_id is not None]
    halves: list[list[sa.ColumnElement[bool]]] = [[job.given_trace_id.in_(trace_ids)]] if trace_ids else []
    if own:
        halves.append([job.id.in_(own), job.given_trace_id.is_(None)])
    return [[*half, *within(scope, all_jobs)] for half in halves]


def _add_states(connection: sa.Connection, conditions: Sequence[Any], sums: dict[str, _Sum]) -> None:
    query = sa.select(
        job.trace_id, job.state, sa.func.count().label("jobs"), sa.func.min(job.created_at).label("started"),
        sa.func.max(job.finished_at).label("ended"), sa.func.max(sa.cast(job.id, sa.Text)).label("last"),
    )  # fmt: skip
    for row in connection.execute(query.where(*conditions).group_by(job.trace_id, job.state)):
        each = sums[row.trace_id]
        each.states[row.state] += row.jobs
        each.started.append(row.started)
        each.ended += [] if row.ended is None else [row.ended]
        each.job_ids = [row.last]


def _add_costs(connection: sa.Connection, conditions: Sequence[Any], sums: dict[str, _Sum]) -> None:
    query = (
        sa.select(
            job.trace_id,
            sa.func.sum(attempts.c.cost_picousd).label("cost"),
            sa.func.sum(sa.case((COST_MISSING, 1), else_=0)).label("unknown"),
            sa.func.sum(sa.case((MAYBE_BILLED, 1), else_=0)).label("maybe"),
        )
        .join_from(all_jobs, attempts, attempts.c.job_id == job.id)
        .where(*conditions)
        .group_by(job.trace_id)
    )
    for row in connection.execute(query):
        each = sums[row.trace_id]
        each.cost += row.cost or Decimal(0)
        each.unknown += int(row.unknown)
        each.maybe += int(row.maybe)


def _row(trace_id: str, newest_match: str, each: _Sum) -> TraceRow:
    is_open = any(state in OPEN for state in each.states)
    return TraceRow(
        trace_id=trace_id,
        newest_match=newest_match,
        job_ids=each.job_ids,
        states=dict(each.states),
        started_at=min(each.started),
        ended_at=None if is_open or not each.ended else max(each.ended),
        cost=each.cost,
        cost_known=not each.unknown,
        maybe_billed=each.maybe,
    )
