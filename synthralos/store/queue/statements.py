"""How a worker's writes change `open_jobs`, fenced by the claim; the same pieces for PostgreSQL and SQLite."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import FromClause

from synthralos.domain.states import Stage, State
from synthralos.store.queue.ledger import WAS
from synthralos.store.queue.rows import START_COLUMNS, usual
from synthralos.store.sql.recordset import insert_ignoring, recordset
from synthralos.store.sql.types import by_id_alone, one_of, utc_in, utcnow, word
from synthralos.store.tables import CARRIED, open_jobs, processes, results


def fence(rows: FromClause, *, starts: bool = False) -> list[sa.ColumnElement[bool]]:
    """The job is still active under the very claim that the row carries, or still queued as when it was read.

    Where the row says nothing, a start (`starts`) is the first write about a job, and anything else is not.
    """
    row, job = rows.c, open_jobs.c
    state = by_id_alone(job.state)
    may_be_held = sa.func.coalesce(row.held, sa.false() if starts else sa.true())
    may_be_fresh = sa.func.coalesce(row.fresh, sa.true() if starts else sa.false())
    held = sa.and_(
        may_be_held, state == word(State.ACTIVE), job.worker_id == row.worker_id, job.claim_no == row.claim_no
    )
    fresh = sa.and_(may_be_fresh, state == word(State.QUEUED), job.claim_no == row.claim_no - sa.literal_column("1"))
    return [job.id == row.id, sa.or_(held, fresh)]


def worker_is(*states: str) -> sa.ColumnElement[bool]:
    """The worker named by the parameter `worker` is in one of these states; it may have been declared lost."""
    worker = sa.bindparam("worker", type_=processes.c.id.type)
    return sa.exists().where(processes.c.id == worker, one_of(processes.c.state, states))


def lock_jobs(dialect: str) -> Any:
    """The numbers of the starts (`START_COLUMNS`) whose claim holds; their jobs are locked by id."""
    rows = recordset(dialect, "rows", START_COLUMNS)
    joined = rows.join(open_jobs, sa.and_(*fence(rows, starts=True)))
    query = sa.select(rows.c.no).select_from(joined).where(worker_is("running", "draining"))
    return query.order_by(open_jobs.c.id).with_for_update(of=open_jobs)


def start_jobs(rows: FromClause) -> sa.Update:
    """An attempt begins, for those of `rows` (`START_COLUMNS`) whose claim holds."""
    row, job = rows.c, open_jobs.c
    values = {
        "state": word(State.ACTIVE),
        "stage": word(Stage.EXECUTE),
        "worker_id": row.worker_id,
        "claim_no": row.claim_no,
        "attempts": row.attempt_no,
        "in_flight": sa.true(),
        "entry_key": row.entry_key,
        "reserved_picousd": row.reserved_picousd,
        "started_at": sa.case((job.in_flight, job.started_at), else_=utcnow()),
        "line": sa.null(),
        "plan_key": row.plan_key,
        "plan_cursor": sa.func.coalesce(row.plan_cursor, sa.literal_column("0")),
        # A job that has passed leaves NULL, whatever was found in an earlier round; one that comes back from elsewhere
        # was not guarded again.
        "verdict": sa.case((sa.func.coalesce(row.guarded, sa.true()), row.verdict), else_=job.verdict),
    }
    return sa.update(open_jobs).where(*fence(rows, starts=True), worker_is("running", "draining")).values(values)


def was(names: tuple[str, ...] = (*WAS, *CARRIED)) -> list[sa.Label[Any]]:
    """Columns of the open job under names that a settlement's row does not have."""
    return [open_jobs.c[name].label(f"was_{name}") for name in names]


def move_jobs(rows: FromClause) -> sa.Update:
    """What becomes of open jobs that stay open, for those of `rows` (`SETTLE_COLUMNS`) whose claim holds.

    The claim still holds where a job goes on with it and the same is written once more: its spans are there already.
    """
    row, job = rows.c, open_jobs.c
    repeated = sa.and_(row.attempt_no.is_not(None), sa.not_(job.in_flight))
    state = usual("state", row.state)
    active, queued = state == word(State.ACTIVE), state == word(State.QUEUED)
    kept = ("plan_key", "plan_cursor", "verdict", "failure", "constraints")
    values = {
        "state": state,
        "stage": usual("stage", row.stage),
        "worker_id": sa.case((active, row.worker_id), else_=sa.null()),
        "claim_no": row.claim_no,
        "in_flight": sa.false(),
        "notified_at": sa.case((queued, utcnow()), else_=job.notified_at),
        "run_at": utc_in(row.delay),
        "line": sa.null(),
        "rings": sa.literal_column("0"),
        "spans": sa.case((repeated, job.spans), else_=lines(job.spans, row.spans)),
        **{name: sa.func.coalesce(row[name], job[name]) for name in kept},
    }
    return sa.update(open_jobs).where(*fence(rows)).values(values)


def keep_results(dialect: str, settled: FromClause) -> sa.Insert:
    """The finished jobs. `settled` has the columns of a settlement's row, and those of `was`."""
    row = settled.c
    state = usual("state", row.state)
    succeeded = state == word(State.SUCCEEDED)
    values = {
        "job_id": row.id,
        "state": state,
        "claim_no": row.claim_no,
        "attempts": row.was_attempts,
        "retry_base": row.was_retry_base,
        "losses": row.was_losses,
        "plan_key": sa.func.coalesce(row.plan_key, row.was_plan_key),
        "plan_cursor": sa.func.coalesce(row.plan_cursor, row.was_plan_cursor),
        "verdict": sa.func.coalesce(row.verdict, row.was_verdict),
        "failure": sa.case((succeeded, sa.null()), else_=sa.func.coalesce(row.failure, row.was_failure)),
        "result": row.result,
        "constraints": sa.func.coalesce(row.constraints, row.was_constraints),
        "spans": lines(row.was_spans, row.spans),
        "finished_at": utcnow(),
        "analyzed_at": sa.case((sa.func.coalesce(row.analyzed, sa.true()), utcnow()), else_=sa.null()),
    }
    return insert_ignoring(dialect, results, list(values), sa.select(*values.values()))


def lines(before: Any, more: Any) -> sa.ColumnElement[str]:
    """Lines of text, one behind the other; either may be NULL."""
    newline = sa.literal_column("'\n'", sa.Text())
    return sa.case((before.is_(None), more), (more.is_(None), before), else_=before + newline + more)
