"""Rows of `repairs` as values, and those that are open with what they are about."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.repairs import Repair, RepairKind, RepairState, awaits_repair
from synthralos.domain.spans import Span
from synthralos.store.sql.types import utcnow, word
from synthralos.store.tables import incidents, jobs, open_jobs, repairs

IS_OPEN = sa.or_(repairs.c.state == word(RepairState.ASKED), repairs.c.state == word(RepairState.STARTED))


class Following(NamedTuple):
    """An open repair. `awaited`: its job is parked for it, or its incident waits for it to act.

    `now`: the database's time. `classification`: of the job's data.
    """

    repair: Repair
    awaited: bool
    now: datetime
    classification: str | None


def repair_of(row: Any) -> Repair:
    """A row of `repairs`."""
    return Repair(
        row.id, row.organization, row.workspace, row.user_id, row.job_id, row.run_id, row.subject,
        RepairKind(row.kind), row.workflow, row.parameters, row.reason, row.failure_class, RepairState(row.state),
        row.asked_by, row.execution_id, row.asked_at, row.until, row.started_at, row.acted_at, row.ended_at,
        row.outcome, row.result,
    )  # fmt: skip


def span_of(repair: Repair, ended_at: datetime | None, status: str) -> Span:
    """The time from when it was asked for until it moved the job, or came to its end without that."""
    said = {
        "repair": repair.id, "kind": str(repair.kind), "workflow": repair.workflow, "by": repair.asked_by,
        "state": str(repair.state), "execution_id": repair.execution_id, "outcome": repair.outcome,
    }  # fmt: skip
    told = {name: value for name, value in said.items() if value}
    return Span("repair", repair.asked_at, ended_at or repair.asked_at, status, told)


OPEN_ONES = (
    sa.select(
        *repairs.c, open_jobs.c.state.label("job_state"), open_jobs.c.stage.label("job_stage"),
        jobs.c.constraints.label("handed_in"), incidents.c.closed_at.label("incident_closed_at"),
        incidents.c.id.label("incident_id"), utcnow().label("now"),
    )
    .select_from(
        repairs.outerjoin(jobs, jobs.c.id == repairs.c.job_id)
        .outerjoin(open_jobs, open_jobs.c.id == repairs.c.job_id)
        .outerjoin(incidents, sa.and_(incidents.c.id == repairs.c.id, repairs.c.job_id.is_(None)))
    )
    .where(IS_OPEN)
    .order_by(repairs.c.id)
)  # fmt: skip
"""In one statement: a repair that has acted, and its job before that, must not be seen together."""


def following_of(row: Any) -> Following:
    """A row of `OPEN_ONES`."""
    constraints = row.handed_in or {}
    if row.job_id is None:
        awaited = row.acted_at is None and row.incident_id is not None and row.incident_closed_at is None
    else:
        awaited = awaits_repair(row.job_state, row.job_stage)
    return Following(repair_of(row), awaited, row.now, constraints.get("classification"))
