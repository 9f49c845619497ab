"""Where costs are read from: the ledger itself, jobs that were answered without a call, adjustments, and the sums.

Each source is a SELECT with the same columns, so that one question can be put to all of them.
"""

from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.costs import Basis, Kind
from synthralos.domain.states import Stage, State
from synthralos.store.sql.types import Money, by_id_alone, word
from synthralos.store.tables import (
    COUNTS,
    attempts,
    catalog_entries,
    cost_adjustments,
    cost_sums,
    job_accounts,
    jobs,
    results,
)

SUMMED = ("organization", "workspace", "user_id", "model", "deployment", "provider", "kind", "basis")
"""What the sums are kept by."""

AMOUNTS = ("cost_picousd", "maybe_picousd")

_TOKENS = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_NONE = sa.literal_column("0", sa.Integer())
_ONE = sa.literal_column("1", sa.Integer())
_NO_MONEY = sa.literal_column("0", Money())
_EMPTY = sa.literal_column("''", sa.Text())
_NULL = sa.cast(sa.null(), sa.Text)

Part = Any
"""A SELECT with the columns `at`, those of `SUMMED`, `stage`, `run_id`, `api_key_id`, `metadata`, those of `COUNTS` and
`AMOUNTS`."""


def ledger() -> tuple[Part, ...]:
    """What answers for a time that no sums answer for."""
    return _calls(jobs), _calls(job_accounts), reused()


def _calls(owners: sa.Table) -> Part:
    """One row for each ended call of jobs that are there, or of those that are gone."""
    a, e, j = attempts.c, catalog_entries.c, owners.c
    maybe, paid = a.billed == word(Billed.MAYBE), a.billed == word(Billed.YES)
    owed = sa.func.coalesce(a.cost_picousd, a.reserved_picousd, type_=Money())
    unknown = sa.or_(sa.and_(paid, a.cost_picousd.is_(None)), sa.and_(maybe, owed.is_(None)))
    basis = sa.case((unknown, word(Basis.UNKNOWN)), (maybe, word(Basis.ESTIMATED)), else_=word(Basis.EXACT))
    counts = {
        "calls": _ONE,
        "unknown_calls": sa.case((unknown, _ONE), else_=_NONE),
        "maybe_calls": sa.case((maybe, _ONE), else_=_NONE),
        **{name: sa.func.coalesce(a[name], _NONE) for name in _TOKENS},
        "cost_picousd": sa.case((paid, sa.func.coalesce(a.cost_picousd, _NO_MONEY)), else_=_NO_MONEY),
        "maybe_picousd": sa.case((maybe, sa.func.coalesce(owed, _NO_MONEY)), else_=_NO_MONEY),
    }
    return _part(
        {
            "at": a.ended_at,
            **_tenant(j),
            "model": e.model,
            "deployment": e.deployment,
            "provider": e.provider,
            "kind": word(Kind.PAID),
            "basis": basis,
            "stage": word(Stage.EXECUTE),
            "run_id": j.run_id,
            "api_key_id": sa.cast(j.api_key_id, sa.Text),
            "metadata": sa.type_coerce(j.metadata, sa.Text()),
        },
        counts,
    ).select_from(attempts.join(catalog_entries, e.key == a.entry_key).join(owners, j.id == a.job_id))


def reused() -> Part:
    """One row for each job that an earlier result answered: it succeeded without a call."""
    r, j = results.c, jobs.c
    return (
        _part(
            {
                "at": r.finished_at,
                **_tenant(j),
                "model": j.model,
                "kind": word(Kind.REUSED),
                "basis": word(Basis.EXACT),
                "stage": word(Stage.GUARD),
                "run_id": j.run_id,
                "api_key_id": sa.cast(j.api_key_id, sa.Text),
                "metadata": sa.type_coerce(j.metadata, sa.Text()),
            },
            {"reused": _ONE},
        )
        .select_from(results.join(jobs, j.id == r.job_id))
        .where(r.state == word(State.SUCCEEDED), r.attempts == _NONE)
    )


def adjustments() -> Part:
    """One row for each adjusting entry."""
    c = cost_adjustments.c
    names = ("organization", "workspace", "user_id", "model", "provider")
    named = {name: sa.func.coalesce(c[name], _EMPTY) for name in names}
    said = {"at": c.at, **named, "kind": word(Kind.ADJUSTMENT), "basis": word(Basis.EXACT)}
    return _part(said, {"cost_picousd": c.amount_picousd})


def sums(span: str) -> Part:
    """The sums of that span."""
    c = cost_sums.c
    said: dict[str, Any] = {"at": c.since, **{name: c[name] for name in SUMMED}}
    # Calls are made by execute alone, and results reused by guard.
    said["stage"] = sa.case((c.kind == word(Kind.REUSED), word(Stage.GUARD)), else_=word(Stage.EXECUTE))
    return _part(said, {name: c[name] for name in (*COUNTS, *AMOUNTS)}).where(c.span == word(span))


def _tenant(job: Any) -> dict[str, Any]:
    """As expressions: the way to what ended lately is its time, not all the jobs that a tenant ever had."""
    names = ("organization", "workspace", "user_id")
    return {name: by_id_alone(job[name]) for name in names}


def _part(said: dict[str, Any], counted: dict[str, Any]) -> Part:
    named = {name: said.get(name, _EMPTY) for name in ("at", *SUMMED, "stage")}
    of_jobs = {name: said.get(name, _NULL) for name in ("run_id", "api_key_id", "metadata")}
    counts = {name: counted.get(name, _NONE) for name in COUNTS}
    amounts = {name: counted.get(name, _NO_MONEY) for name in AMOUNTS}
    columns = {**named, **of_jobs, **counts, **amounts}
    return sa.select(*(column.label(name) for name, column in columns.items()))
