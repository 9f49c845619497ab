"""How jobs leave `open_jobs` and come back, where it is not their worker who ends them.

Within the caller's transaction.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.states import Stage, State
from synthralos.domain.waits import WaitState
from synthralos.store.sql.types import utcnow, word
from synthralos.store.tables import CARRIED, jobs, open_jobs, results, waits

_SHARED = ("claim_no", "attempts", *CARRIED)


def end_jobs(
    connection: sa.Connection, job_ids: Sequence[str], state: State, failure: dict[str, Any] | None = None
) -> None:
    """Jobs whose rows are locked, and whose attempts are written off, end now; `failure` replaces what they have.

    What they waited for is withdrawn.
    """
    values: dict[str, Any] = {
        "job_id": open_jobs.c.id,
        **{name: open_jobs.c[name] for name in _SHARED},
        "state": sa.literal(state, sa.Text()),
        "finished_at": utcnow(),
    }
    if failure is not None:
        values["failure"] = sa.literal(failure, results.c.failure.type)
    chosen = open_jobs.c.id.in_(job_ids)
    connection.execute(sa.insert(results).from_select(list(values), sa.select(*values.values()).where(chosen)))
    connection.execute(sa.delete(open_jobs).where(chosen))
    withdraw_waits(connection, job_ids)


def withdraw_waits(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Nobody has to answer any more what these jobs waited for; their rows are locked."""
    is_open = waits.c.state == word(WaitState.OPEN)
    values = {"state": str(WaitState.WITHDRAWN), "answered_at": utcnow()}
    connection.execute(sa.update(waits).where(waits.c.job_id.in_(job_ids), is_open).values(values))


def reopen_jobs(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Finished jobs whose rows are locked are open again, queued; what is to be otherwise is the caller's."""
    values: dict[str, Any] = {
        "id": results.c.job_id,
        **{name: results.c[name] for name in _SHARED},
        "state": sa.literal(State.QUEUED, sa.Text()),
        "stage": sa.literal(Stage.GUARD, sa.Text()),
        "lane": jobs.c.lane,
        "rings": sa.literal(0),
        "in_flight": sa.false(),
        "notified_at": utcnow(),
        "deadline": jobs.c.deadline,
    }
    chosen = results.c.job_id.in_(job_ids)
    select = sa.select(*values.values()).select_from(results.join(jobs, jobs.c.id == results.c.job_id)).where(chosen)
    connection.execute(sa.insert(open_jobs).from_select(list(values), select))
    connection.execute(sa.delete(results).where(chosen))
