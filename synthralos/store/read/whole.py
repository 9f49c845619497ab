"""Whole jobs by id in one round trip, for whoever is asked for one job at a time, many times a second."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from secrets import token_hex
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from synthralos.domain.jobs import Constraints
from synthralos.domain.scope import EVERYTHING
from synthralos.store.read.jobs import Reader, Row, set_plan
from synthralos.store.read.large_results import LargeResults
from synthralos.store.read.trace_rows import COST_MISSING, MAYBE_BILLED
from synthralos.store.sql.database import Database
from synthralos.store.sql.prepared import Prepared
from synthralos.store.sql.types import Id, decode_money, id_text
from synthralos.store.tables import all_jobs, attempts, results, routing_plans

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
LARGE = 256 * 1024
"""Bytes of a result above which it is read in pieces, and is in no process's memory as a whole."""

PIECE = 256 * 1024
"""Characters of such a piece; on SQLite its bytes."""

_BYTES: Any = sa.func.octet_length(job.result)  # of what is compressed, PostgreSQL knows it without reading it
_IS_LARGE = sa.literal_column(str(LARGE)) < _BYTES
_COLUMNS = (
    id_text(job.id), job.organization, job.workspace, job.user_id, job.lane, job.state, job.stage, job.trace_id,
    job.run_id, id_text(job.api_key_id), job.model, job.metadata, job.attempts, job.failure, job.created_at,
    job.run_at, job.deadline, job.finished_at, job.request, job.constraints, job.verdict, job.plan_cursor,
    sa.case((sa.not_(_IS_LARGE), job.result)).label("result"), sa.case((_IS_LARGE, _BYTES)).label("result_bytes"),
    routing_plans.c.body.label("plan_body"), _SPENT.c.cost, _SPENT.c.cost_unknown, _SPENT.c.maybe_billed,
)  # fmt: skip
_NAMES = [column.name for column in _COLUMNS]
_TIMES = ("created_at", "run_at", "deadline", "finished_at")
_NO_CONSTRAINTS = Constraints().to_json()


class WholeJobs:
    """Reads jobs as `job_view` takes them, without a scope: who asks compares the tenant.

    On PostgreSQL it is one prepared statement, and what is only passed on stays the JSON text that it is stored as
    (`orjson.Fragment`). A result of more than `LARGE` bytes is not read: `result_bytes` says how many there are, and
    `mark`, a JSON string that nobody can guess, stands for it. `piece` reads it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = Reader(database)
        self._prepared = Prepared(_whole()) if database.dialect == "postgresql" else None
        self._piece = Prepared(_piece()) if database.dialect == "postgresql" else None
        self._large = LargeResults(database)
        self.mark = b'"%b"' % token_hex(16).encode()

    def read(self, job_ids: Sequence[str]) -> dict[str, Row]:
        """Those of `job_ids` that there are, by id."""
        if self._prepared is None:
            return self._read_apart(job_ids)
        rows = self._prepared.run(self._database, {"ids": list(job_ids)})
        return {row[0]: self._row(row) for row in rows}

    def piece(self, job_id: str, number: int) -> bytes:
        """The piece of that number, from 0 on, of a large result's JSON; empty behind its end, or where it is gone."""
        if self._piece is None:
            return self._large.piece(job_id, number * PIECE, PIECE)
        rows = self._piece.run(self._database, {"id": job_id, "first": number * PIECE + 1})
        text = rows[0][0] if rows else None
        return b"" if text is None else text.encode()

    def _read_apart(self, job_ids: Sequence[str]) -> dict[str, Row]:
        """The same on SQLite, which does not know the length of a text before it has read it."""
        large = {job_id: size for job_id, size in self._large.sizes(job_ids).items() if size > LARGE}
        rows = self._reader.jobs([each for each in job_ids if each not in large], EVERYTHING)
        if large:
            rows |= self._reader.jobs([*large], EVERYTHING, results=False)
        for job_id, size in large.items():
            if job_id in rows:
                rows[job_id] |= {"result": orjson.Fragment(self.mark), "result_bytes": size}
        return rows

    def _row(self, values: tuple[Any, ...]) -> Row:
        row = _row(values)
        if row["result_bytes"] is not None:
            row["result"] = orjson.Fragment(self.mark)
        return row


def _whole() -> Any:
    ids: Any = sa.bindparam("ids")
    plans = all_jobs.join(routing_plans, routing_plans.c.key == job.plan_key, isouter=True)
    wanted = job.id == sa.any_(sa.cast(ids, postgresql.ARRAY(Id)))
    return sa.select(*_COLUMNS).select_from(plans.join(_SPENT, sa.true(), isouter=True)).where(wanted)


def _piece() -> Any:
    first: Any = sa.cast(sa.bindparam("first"), sa.Integer)
    text = sa.func.substr(results.c.result, first, sa.literal_column(str(PIECE)))
    return sa.select(sa.cast(text, sa.Text)).where(results.c.job_id == sa.cast(sa.bindparam("id"), Id))


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
