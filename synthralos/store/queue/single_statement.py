"""On PostgreSQL: a batch of starts or settlements as one statement, which is a transaction by itself.

Every statement of a transaction is a round trip, and BEGIN and COMMIT are two more. Here the changes of the jobs
decide, as a common table expression, which attempts, spans and events are written beside them. Rows carry a
number, `no`, by which the one is told to the other. PostgreSQL changes what the outer SELECT reads first: jobs before
attempts, in the order of everybody who takes a job from its worker, so that no two wait for each other.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import CTE

from synthralos.domain.writes import Settlement, Start
from synthralos.store.exports.backlog import backlog_rows, to_backlog
from synthralos.store.queue.job_rows import (
    SETTLE_COLUMNS,
    START_COLUMNS,
    settle_jobs,
    settle_row,
    start_jobs,
    start_row,
)
from synthralos.store.queue.ledger import (
    ENTRY_COLUMNS,
    OPEN_COLUMNS,
    close_attempts,
    entry_row,
    log_costs,
    open_attempts,
    open_row,
)
from synthralos.store.queue.log_rows import event_row, insert_events, insert_spans, span_row
from synthralos.store.sql.recordset import Row, RowFilter, encode_rows, recordset

_PG = "postgresql"
_NO = {"no": sa.Integer()}


class SingleStatements:
    """Both statements, made once."""

    def __init__(self) -> None:
        self._start = _start()
        self._settle = _settle()

    def start(self, connection: sa.Connection, starts: Sequence[Start]) -> list[bool]:
        """What `Settlements.start` does."""
        rows = [{**start_row(s), **open_row(s), "no": no} for no, s in enumerate(starts)]
        return _flags(len(starts), connection.execute(self._start, {"rows": encode_rows(rows)}).scalars())

    def settle(
        self, connection: sa.Connection, settlements: Sequence[Settlement], destinations: Sequence[str]
    ) -> list[bool]:
        """What `Settlements.settle` does."""
        numbered = list(enumerate(settlements))
        parameters = {
            "rows": encode_rows({**settle_row(s), "no": no} for no, s in numbered),
            "entries": encode_rows({**entry_row(s), "no": no} for no, s in numbered if s.attempt is not None),
            "spans": encode_rows(_spans(settlements)),
            "events": encode_rows(
                {**event_row(s.job.id, s.job.tenant.organization, event), "no": no}
                for no, s in numbered
                for event in s.events
            ),
            "owed": encode_rows(
                {**row, "no": no} for no, s in numbered if s.analyzed for row in backlog_rows(s.job.id, destinations)
            ),
        }
        return _flags(len(settlements), connection.execute(self._settle, parameters).scalars())


def _start() -> Any:
    rows = recordset(_PG, "rows", {**START_COLUMNS, **OPEN_COLUMNS, **_NO})
    won = start_jobs(rows).returning(rows.c.no).cte("won")
    opened = open_attempts(_PG, rows, _among(won)).cte("opened")
    return sa.select(won.c.no).add_cte(opened)


def _settle() -> Any:
    rows = recordset(_PG, "rows", {**SETTLE_COLUMNS, **_NO})
    entries = recordset(_PG, "entries", {**ENTRY_COLUMNS, **_NO})
    won = settle_jobs(rows).returning(rows.c.no).cte("won")
    closed = close_attempts(entries).returning(entries.c.no).cte("closed")
    return sa.select(won.c.no).add_cte(
        log_costs(_PG, entries, _among(closed)).cte("logged"),
        insert_spans(_PG, "spans", _among(won)).cte("spanned"),
        insert_events(_PG, "events", _among(won)).cte("told"),
        to_backlog(_PG, "owed", _among(won)).cte("put"),
    )


def _among(changed: CTE) -> RowFilter:
    """The rows whose number is among those of `changed`. An array, so that no join has to be planned."""
    return lambda rows: rows.c.no == sa.any_(sa.func.array(sa.select(changed.c.no).scalar_subquery()))


def _spans(items: Sequence[Settlement]) -> list[Row]:
    return [{**span_row(s.job.id, span), "no": no} for no, s in enumerate(items) for span in s.spans]


def _flags(count: int, numbers: sa.ScalarResult[int]) -> list[bool]:
    won = set(numbers)
    return [no in won for no in range(count)]
