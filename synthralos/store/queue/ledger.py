"""The books: every provider call exactly once, in the same transaction as what it means for its job.

Not fenced. A result that arrives after its claim was lost corrects the attempt that was written off as
`lost`, and is marked `late`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import FromClause

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.money import Price
from synthralos.domain.writes import Settlement, Start
from synthralos.store.sql.recordset import Columns, RowFilter, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, Json, Money, encode_money, id_text, one_of, utcnow
from synthralos.store.tables import attempts, jobs, model_cost_logs

OPEN_COLUMNS: Columns = {
    "job_id": Id,
    "attempt_no": sa.Integer(),
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "deployment": sa.Text(),
    "provider": sa.Text(),
    "model": sa.Text(),
    "region": sa.Text(),
    "reserved_picousd": Money(),
}
_USAGE_COLUMNS: Columns = {
    "input_tokens": sa.Integer(),
    "cached_tokens": sa.Integer(),
    "cache_write_tokens": sa.Integer(),
    "output_tokens": sa.Integer(),
    "reasoning_tokens": sa.Integer(),
    "cost_picousd": Money(),
}
_END_COLUMNS: Columns = {
    "outcome": sa.Text(),
    "billed": sa.Text(),
    "failure": Json,
    "provider_model": sa.Text(),
    "provider_request_id": sa.Text(),
    "seconds": sa.Float(),
    **_USAGE_COLUMNS,
}
_COST_COLUMNS: Columns = {
    "job_id": Id,
    "attempt_no": sa.Integer(),
    "organization": sa.Text(),
    "workspace": sa.Text(),
    "user_id": sa.Text(),
    "trace_id": sa.Text(),
    "deployment": sa.Text(),
    "model": sa.Text(),
    "billed": sa.Text(),
    "price": Json,
    **_USAGE_COLUMNS,
}
ENTRY_COLUMNS: Columns = {**_COST_COLUMNS, **_END_COLUMNS}


class Ledger:
    """Writes `attempts` and `model_cost_logs` within the caller's transaction."""

    def __init__(self, dialect: str) -> None:
        entries = recordset(dialect, "rows", ENTRY_COLUMNS)
        self._open = open_attempts(dialect, recordset(dialect, "rows", OPEN_COLUMNS))
        self._close: Any = close_attempts(entries).returning(id_text(attempts.c.job_id), attempts.c.attempt_no)
        self._log = log_costs(dialect, entries)
        self._lose = _lose(dialect)
        self._log_lost = _log_lost(dialect)

    def open(self, connection: sa.Connection, starts: Sequence[Start]) -> None:
        """Book attempts that are about to begin. Repeating it changes nothing."""
        connection.execute(self._open, {"rows": encode_rows(map(open_row, starts))})

    def close(self, connection: sa.Connection, ended: Sequence[Settlement]) -> None:
        """Book the ends of attempts, and their costs. An attempt that has ended otherwise than `lost` stays."""
        rows = [entry_row(settlement) for settlement in ended]
        encoded = encode_rows(rows)
        closed = {(r.job_id, r.attempt_no) for r in connection.execute(self._close, {"rows": encoded})}
        if len(closed) < len(rows):
            encoded = encode_rows(row for row in rows if (row["job_id"], row["attempt_no"]) in closed)
        if closed:
            connection.execute(self._log, {"rows": encoded})

    def write_off(self, connection: sa.Connection, job_ids: Sequence[str]) -> None:
        """Book the open attempts of jobs that were just taken from their worker as lost, and maybe billed.

        In the transaction that takes the job, so that an attempt is open only while its job is held for it.
        """
        rows = {"rows": encode_rows({"id": job_id} for job_id in job_ids)}
        lost = [{"job_id": r.job_id, "attempt_no": r.attempt_no} for r in connection.execute(self._lose, rows)]
        if lost:
            connection.execute(self._log_lost, {"rows": encode_rows(lost)})


def open_row(start: Start) -> dict[str, Any]:
    """A start as `open_attempts` takes it."""
    deployment = start.deployment
    return {
        "job_id": start.job.id,
        "attempt_no": start.attempt_no,
        "worker_id": start.job.claim.worker_id,
        "claim_no": start.job.claim.claim_no,
        "deployment": deployment.id,
        "provider": deployment.provider,
        "model": deployment.model,
        "region": deployment.region,
        "reserved_picousd": encode_money(start.reserved),
    }


def entry_row(settlement: Settlement) -> dict[str, Any]:
    """The end of an attempt as `close_attempts` and `log_costs` take it."""
    end, deployment, job = settlement.attempt, settlement.deployment, settlement.job
    assert end is not None
    assert deployment is not None
    usage = end.usage
    return {
        "job_id": job.id,
        "attempt_no": end.attempt_no,
        "organization": job.tenant.organization,
        "workspace": job.tenant.workspace,
        "user_id": job.tenant.user,
        "trace_id": job.trace_id,
        "deployment": deployment.id,
        "model": end.provider_model or deployment.upstream_model,
        "billed": end.billed,
        "price": price_json(deployment.price),
        "outcome": end.outcome,
        "failure": None if end.failure is None else end.failure.to_json(),
        "provider_model": end.provider_model,
        "provider_request_id": end.provider_request_id,
        "seconds": end.seconds,
        "input_tokens": None if usage is None else usage.input,
        "cached_tokens": None if usage is None else usage.cached,
        "cache_write_tokens": None if usage is None else usage.cache_write,
        "output_tokens": None if usage is None else usage.output,
        "reasoning_tokens": None if usage is None else usage.reasoning,
        "cost_picousd": encode_money(end.cost),
    }


def price_json(price: Price | None) -> dict[str, str | None] | None:
    """A price as the books keep it: USD per million tokens, at its date."""
    if price is None:
        return None
    return {
        "input": str(price.input),
        "output": str(price.output),
        "cached": _str(price.cached),
        "cache_write": _str(price.cache_write),
        "as_of": price.as_of,
    }


def _str(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def open_attempts(dialect: str, rows: FromClause, chosen: RowFilter | None = None) -> sa.Insert:
    """Book the attempts of `rows` (`OPEN_COLUMNS`), or of the `chosen` ones among them."""
    fixed = {"outcome": sa.literal(Outcome.OPEN, sa.Text()), "late": sa.false(), "started_at": utcnow()}
    select = sa.select(*(rows.c[name] for name in OPEN_COLUMNS), *fixed.values())
    if chosen is not None:
        select = select.where(chosen(rows))
    return insert_ignoring(dialect, attempts, [*OPEN_COLUMNS, *fixed], select)


def close_attempts(rows: FromClause) -> sa.Update:
    """Book the ends of `rows` (`ENTRY_COLUMNS`), of attempts that are open or were written off as lost."""
    return (
        sa.update(attempts)
        .where(
            attempts.c.job_id == rows.c.job_id,
            attempts.c.attempt_no == rows.c.attempt_no,
            one_of(attempts.c.outcome, [Outcome.OPEN, Outcome.LOST]),
        )
        .values(
            {name: rows.c[name] for name in _END_COLUMNS},
        )
        .values(late=attempts.c.outcome == Outcome.LOST, ended_at=utcnow())
    )


def log_costs(dialect: str, rows: FromClause, chosen: RowFilter | None = None) -> Any:
    """One line per attempt; the line of a `lost` attempt is corrected when its end is learned after all."""
    select = sa.select(*(rows.c[name] for name in _COST_COLUMNS), utcnow())
    if chosen is not None:
        select = select.where(chosen(rows))
    columns = [*_COST_COLUMNS, "logged_at"]
    corrected = ("billed", "model", "price", *_USAGE_COLUMNS)
    keys = ["job_id", "attempt_no"]
    maybe = model_cost_logs.c.billed == Billed.MAYBE
    if dialect == "postgresql":
        pg = postgresql.insert(model_cost_logs).from_select(columns, select)
        return pg.on_conflict_do_update(index_elements=keys, set_={c: pg.excluded[c] for c in corrected}, where=maybe)
    lite = sqlite.insert(model_cost_logs).from_select(columns, select.where(sa.true()))
    return lite.on_conflict_do_update(index_elements=keys, set_={c: lite.excluded[c] for c in corrected}, where=maybe)


def _lose(dialect: str) -> Any:
    rows = recordset(dialect, "rows", {"id": Id})
    return (
        sa.update(attempts)
        .where(attempts.c.job_id == rows.c.id, attempts.c.outcome == Outcome.OPEN)
        .values(outcome=Outcome.LOST, billed=Billed.MAYBE, ended_at=utcnow())
        .returning(attempts.c.job_id, attempts.c.attempt_no)
    )


def _log_lost(dialect: str) -> sa.Insert:
    """The line of an attempt whose end nobody saw: neither tokens nor cost are known."""
    rows = recordset(dialect, "rows", {"job_id": Id, "attempt_no": sa.Integer()})
    values = {
        "job_id": attempts.c.job_id,
        "attempt_no": attempts.c.attempt_no,
        "organization": jobs.c.organization,
        "workspace": jobs.c.workspace,
        "user_id": jobs.c.user_id,
        "trace_id": jobs.c.trace_id,
        "deployment": attempts.c.deployment,
        "model": attempts.c.model,
        "billed": attempts.c.billed,
        "logged_at": utcnow(),
    }
    select = (
        sa.select(*values.values())
        .select_from(rows)
        .join(attempts, sa.and_(attempts.c.job_id == rows.c.job_id, attempts.c.attempt_no == rows.c.attempt_no))
        .join(jobs, jobs.c.id == attempts.c.job_id)
    )
    return insert_ignoring(dialect, model_cost_logs, list(values), select)
