"""The books: every provider call exactly once, in the same transaction as what it means for its job.

A call is booked before it begins, in its job's row (`in_flight`), and as an attempt when it ends. The ledger is not
fenced: a result that arrives after its claim was lost corrects the attempt that was written off as `lost`, and is
marked `late`.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import FromClause

from synthralos.domain.attempts import Billed, Outcome
from synthralos.store.queue.rows import END_COLUMNS, SETTLE_COLUMNS, counted_apart, usual
from synthralos.store.sql.recordset import encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, utcnow, word
from synthralos.store.tables import attempts, open_jobs

WAS = ("in_flight", "attempts", "entry_key", "reserved_picousd", "started_at")
"""What the end of an attempt needs of its open job; as `was_…` beside the settlement's row."""

_APART = ("cached", "cache_write", "cache_write_1h", "reasoning")


def _ends(row: Any) -> dict[str, Any]:
    """What a settlement's row says of the end of an attempt, by column."""
    said = {"failure" if name == "attempt_failure" else name: row[name] for name in END_COLUMNS}
    apart = {f"{kind}_tokens": counted_apart(row, kind) for kind in _APART}
    return {**said, **apart, **{name: usual(name, row[name]) for name in ("outcome", "billed")}}


def book_ends(dialect: str, settled: FromClause) -> sa.Insert:
    """Book the attempts that ended. `settled` has the columns of a settlement's row, and those of `WAS`."""
    row = settled.c
    values: dict[str, Any] = {
        "job_id": row.id,
        "attempt_no": row.attempt_no,
        "worker_id": row.worker_id,
        "claim_no": row.claim_no,
        "entry_key": row.was_entry_key,
        "late": sa.false(),
        **_ends(row),
        "reserved_picousd": row.was_reserved_picousd,
        "started_at": row.was_started_at,
        "ended_at": utcnow(),
    }
    select = sa.select(*values.values()).where(row.was_in_flight, row.was_attempts == row.attempt_no)
    return insert_ignoring(dialect, attempts, list(values), select)


def correct_lost(dialect: str) -> Any:
    """Book what came of attempts that were written off; its parameter `rows` holds settlements' rows."""
    rows = recordset(dialect, "rows", SETTLE_COLUMNS)
    return (
        sa.update(attempts)
        .where(
            attempts.c.job_id == rows.c.id,
            attempts.c.attempt_no == rows.c.attempt_no,
            attempts.c.outcome == word(Outcome.LOST),
        )
        .values(_ends(rows.c))
        .values(late=sa.true(), ended_at=utcnow())
    )


class Ledger:
    """Writes off attempts within the caller's transaction."""

    def __init__(self, dialect: str) -> None:
        self._lose = _lose(dialect)

    def write_off(self, connection: sa.Connection, job_ids: Sequence[str]) -> None:
        """Book the attempts in flight of these jobs as lost, and maybe billed.

        In the transaction that takes the jobs from their workers, when it holds their rows and before it changes them.
        """
        if job_ids:
            connection.execute(self._lose, {"rows": encode_rows({"id": job_id} for job_id in job_ids)})


def _lose(dialect: str) -> sa.Insert:
    rows = recordset(dialect, "rows", {"id": Id})
    values: dict[str, Any] = {
        "job_id": open_jobs.c.id,
        "attempt_no": open_jobs.c.attempts,
        "worker_id": open_jobs.c.worker_id,
        "claim_no": open_jobs.c.claim_no,
        "entry_key": open_jobs.c.entry_key,
        "outcome": word(Outcome.LOST),
        "billed": word(Billed.MAYBE),
        "late": sa.false(),
        "reserved_picousd": open_jobs.c.reserved_picousd,
        "started_at": open_jobs.c.started_at,
        "ended_at": utcnow(),
    }
    select = (
        sa.select(*values.values())
        .select_from(rows)
        .join(open_jobs, open_jobs.c.id == rows.c.id)
        .where(open_jobs.c.in_flight)
    )
    return insert_ignoring(dialect, attempts, list(values), select)
