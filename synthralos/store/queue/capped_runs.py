"""Calls of runs that have caps: counted as they start, in the transaction of the start.

The jobs are locked first, then what budgets hold, then the caps of their runs in the order of (organization, run).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from synthralos.domain.budgets import AtLimit
from synthralos.domain.run_caps import RunCaps, goes_round
from synthralos.domain.runs import STEP
from synthralos.domain.states import State
from synthralos.domain.writes import Refused, Start
from synthralos.store.sql.types import id_text, utcnow, word
from synthralos.store.tables import jobs, open_jobs, results, run_caps

_LOOKED_AT = 1_000
"""Jobs of a run, the newest, among which a start looks for equal ones."""

Numbered = Sequence[tuple[int, Start]]


class CappedRuns:
    """Admits and counts within the caller's transaction."""

    def admit(self, connection: sa.Connection, starts: Numbered) -> dict[int, Refused]:
        """The refusals of those starts, by number, that are over a cap of their run; their jobs are locked."""
        capped = [(no, start) for no, start in starts if start.caps is not None]
        if not capped:
            return {}
        now = connection.execute(sa.select(utcnow())).scalar_one()
        rows = _locked(connection, {start.caps.key for _, start in capped if start.caps is not None})
        calls = Counter({key: row.calls for key, row in rows.items()})
        refused: dict[int, Refused] = {}
        for no, start in capped:
            assert start.caps is not None
            row = rows.get(start.caps.key)
            if row is None:
                continue
            caps = replace(start.caps, max_calls=row.max_calls, deadline=row.deadline, max_repeats=row.max_repeats)
            reason = caps.refusal(calls[caps.key], now) or _round(connection, start, caps)
            if reason is None:
                calls[caps.key] += 1
            else:
                refused[no] = _refusal(caps, reason)
        return refused

    def count(self, connection: sa.Connection, starts: Numbered, refused: dict[int, Refused], began: Set[int]) -> None:
        """Write down which calls began, and why others were refused.

        A refusal by the budget of a run becomes one that names the run's cap.
        """
        calls: Counter[tuple[str, str]] = Counter()
        told: dict[tuple[str, str], str] = {}
        for no, start in starts:
            caps = start.caps
            if caps is None:
                continue
            if no in began:
                calls[caps.key] += 1
            if no in refused:
                refused[no] = named = _by_cap(caps, refused[no])
                if named.message is not None and named.full:
                    told[caps.key] = named.message
        for key in sorted(calls.keys() | told.keys()):
            values: dict[str, Any] = {"calls": run_caps.c.calls + calls[key]}
            if key in told:
                values |= {"refused_reason": told[key], "refused_at": utcnow()}
            connection.execute(sa.update(run_caps).where(*_is(key)).values(**values))

    @staticmethod
    def begun(connection: sa.Connection, starts: Numbered) -> set[int]:
        """The numbers of those starts of capped runs that were written before: their commit was in doubt."""
        capped = [(no, start) for no, start in starts if start.caps is not None]
        written = _under_way(connection, [start.job.id for _, start in capped]) if capped else set()
        return {no for no, start in capped if (start.job.id, start.attempt_no) in written}


def _refusal(caps: RunCaps, reason: str) -> Refused:
    return Refused(f"run {caps.run_id}", AtLimit.DENY, message=reason)


def _by_cap(caps: RunCaps, refused: Refused) -> Refused:
    if refused.message is None and refused.budget == f"run {caps.run_id}" and caps.budget_id is not None:
        return replace(refused, message=caps.cost_refusal())
    return refused


def _is(key: tuple[str, str]) -> tuple[sa.ColumnElement[bool], ...]:
    return run_caps.c.organization == key[0], run_caps.c.run_id == key[1]


def _locked(connection: sa.Connection, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Any]:
    c = run_caps.c
    query = sa.select(c.organization, c.run_id, c.calls, c.max_calls, c.deadline, c.max_repeats)
    query = query.where(sa.tuple_(c.organization, c.run_id).in_(sorted(keys))).order_by(c.organization, c.run_id)
    return {(row.organization, row.run_id): row for row in connection.execute(query.with_for_update())}


def _under_way(connection: sa.Connection, job_ids: Sequence[str]) -> set[tuple[str, int]]:
    c = open_jobs.c
    query = sa.select(id_text(c.id), c.attempts).where(c.id.in_(job_ids), c.in_flight)
    return {(row.id, row.attempts) for row in connection.execute(query)}


def _round(connection: sa.Connection, start: Start, caps: RunCaps) -> str | None:
    """Why the job's step is not asked again; None where it was not answered the same so many times in a row."""
    step = start.job.metadata.get(STEP)
    if step is None:
        return None
    equal = [row.id for row in connection.execute(_equals(start, caps)) if (row.metadata or {}).get(STEP) == step]
    newest = equal[: caps.max_repeats]
    if len(newest) < caps.max_repeats:
        return None
    query = sa.select(results.c.result).where(results.c.job_id.in_(newest))
    said = list(connection.execute(query).scalars())
    return caps.round_refusal(str(step)) if goes_round(said, caps.max_repeats) else None


def _equals(start: Start, caps: RunCaps) -> sa.Select[Any]:
    """Finished jobs of the run that asked what this one asks, of one model; the newest first."""
    c = jobs.c
    recent = sa.select(c.id).where(c.run_id == caps.run_id, c.organization == caps.organization)
    newest = recent.order_by(c.id.desc()).limit(_LOOKED_AT).subquery("newest")
    this = jobs.alias("this")
    joined = newest.join(jobs, c.id == newest.c.id).join(this, this.c.id == start.job.id)
    joined = joined.join(results, results.c.job_id == c.id)
    query = sa.select(id_text(c.id), c.metadata).select_from(joined)
    query = query.where(c.model == this.c.model, _text(c.request) == _text(this.c.request))
    return query.where(results.c.state == word(State.SUCCEEDED)).order_by(c.id.desc())


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.type_coerce(column, sa.Text())
