"""What calls that ended within a stretch of time were like, in sums: for the monitor, which looks each other second.

An aggregate over a stretch of the ledger by its index of time. Failures are told apart by whose fault they were.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Outcome
from synthralos.domain.detection import Sums
from synthralos.domain.failures import UPSTREAM, FailureClass
from synthralos.store.sql.database import Database
from synthralos.store.sql.page_bounds import bound_pages
from synthralos.store.sql.types import one_of, utcnow, word
from synthralos.store.tables import attempts, catalog_entries, jobs

BEHIND = 1.0
"""Seconds that a look stays behind the clock: what is committed later than that after its end is not seen."""

LONGEST_LOOK = 10.0
"""Seconds that one look goes over at most; what lies further back is passed over."""

_OWN_FAULTS = (
    FailureClass.INVALID_REQUEST,
    FailureClass.UNSUPPORTED,
    FailureClass.CONTEXT_LENGTH,
    FailureClass.CONTENT_FILTERED,
    FailureClass.SCHEMA_MISMATCH,
)
"""Failures that are about what an organization asks for, and not about a deployment."""

_OUTPUT_WEIGHT = 4.0
"""What an output token costs beside one of input, about, with all providers: it explains most of a call's price."""


@dataclass(frozen=True, slots=True)
class CallSums:
    """The calls of an organization to a deployment that ended in a stretch of time, but for those that say nothing.

    `failed`: by the deployment's fault; `refused`: for what was asked. `latency`: of answered calls, the logarithm of
    seconds by that of output tokens; `price`: of those with a known cost, that of USD a token by that of their mix.
    """

    deployment: str
    organization: str
    answered: int
    failed: int
    refused: int
    latency: Sums
    price: Sums


class CallReader:
    """Reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._query = _query(database.dialect)

    def now(self) -> datetime:
        """The time up to which can be looked now."""
        with self._database.snapshot() as connection:
            found: datetime = connection.execute(sa.select(utcnow())).scalar_one()
        return found

    def bound_pages(self) -> None:
        """Have what was written lately found by its time; otherwise a look goes through all of it."""
        bound_pages(self._database, "attempts_by_ended_at")

    def between(self, since: datetime, until: datetime) -> list[CallSums]:
        """The calls that ended from `since` on and before `until`, by deployment and organization."""
        with self._database.snapshot() as connection:
            rows = connection.execute(self._query, {"since": since, "until": until})
            return [_sums(row) for row in rows]


def total(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    columns = list(zip(*((s.n, s.x, s.y, s.xx, s.xy, s.yy) for s in sums), strict=True))
    return Sums(*map(sum, columns))


def _sums(row: sa.Row[Any]) -> CallSums:
    given = row._mapping
    latency, price = (
        Sums(*(float(given[f"{name}_{part}"] or 0.0) for part in ("n", "x", "y", "xx", "xy", "yy")))
        for name in ("latency", "price")
    )
    return CallSums(row.deployment, row.organization, row.answered, row.failed, row.refused, latency, price)


def _query(dialect: str) -> Any:
    calls = _calls(dialect).subquery()
    counted: list[Any] = [
        sa.func.count().filter(calls.c.how == how).label(how) for how in ("answered", "failed", "refused")
    ]
    for name in ("latency", "price"):
        x, y = calls.c[f"{name}_x"], calls.c[f"{name}_y"]
        counted.append(sa.func.count(y).label(f"{name}_n"))
        parts = {"x": x, "y": y, "xx": x * x, "xy": x * y, "yy": y * y}
        counted += [sa.func.sum(part).label(f"{name}_{which}") for which, part in parts.items()]
    where = calls.c.how.is_not(None)
    keys = calls.c.deployment, calls.c.organization
    return sa.select(*keys, *counted).where(where).group_by(*keys)


def _calls(dialect: str) -> Any:
    """Each call with its logarithms; x and y are NULL together."""
    since, until = (sa.bindparam(name, type_=attempts.c.ended_at.type) for name in ("since", "until"))
    call, output = attempts.c, sa.func.coalesce(attempts.c.output_tokens, 0)
    answered = call.outcome == word(Outcome.SUCCEEDED)
    tokens = sa.cast(sa.func.coalesce(call.input_tokens, 0) + output, sa.Float)
    priced = sa.and_(answered, tokens > 0, sa.type_coerce(call.cost_picousd, sa.BigInteger) > 0)
    timed = sa.and_(answered, call.seconds > 0)
    weighed = (sa.func.coalesce(call.input_tokens, 0) + _OUTPUT_WEIGHT * output) / tokens
    failure = _failure_class(dialect)
    own_deadline = sa.and_(failure == word(FailureClass.TIMEOUT), jobs.c.deadline <= until)
    how = sa.case(
        (answered, "answered"),
        (own_deadline, None),
        (sa.and_(call.outcome == word(Outcome.FAILED), one_of(failure, map(str, UPSTREAM))), "failed"),
        (sa.and_(call.outcome == word(Outcome.FAILED), one_of(failure, map(str, _OWN_FAULTS))), "refused"),
    )
    cost = sa.cast(sa.type_coerce(call.cost_picousd, sa.BigInteger), sa.Float)
    return (
        sa.select(
            catalog_entries.c.deployment,
            jobs.c.organization,
            how.label("how"),
            sa.case((timed, sa.func.ln(1.0 + output))).label("latency_x"),
            sa.case((timed, sa.func.ln(call.seconds))).label("latency_y"),
            sa.case((priced, sa.func.ln(weighed))).label("price_x"),
            sa.case((priced, sa.func.ln(cost / tokens))).label("price_y"),
        )
        .join(catalog_entries, catalog_entries.c.key == call.entry_key)
        .join(jobs, jobs.c.id == call.job_id)
        .where(call.ended_at >= since, call.ended_at < until)
    )


def _failure_class(dialect: str) -> sa.ColumnElement[str]:
    if dialect == "sqlite":
        return sa.func.json_extract(attempts.c.failure, "$.class")
    return sa.func.json_extract_path_text(sa.cast(attempts.c.failure, sa.JSON()), "class")
