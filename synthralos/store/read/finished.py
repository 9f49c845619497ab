"""Finished jobs at a glance, from the tables that hold them: for the digest, and for what it has not seen yet."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.observing import Fact, FailedCall
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.queue.spans import stage_visits
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import Id, id_text, utcnow
from synthralos.store.tables import attempts, catalog_entries, jobs, results, trace_facts

_COLUMNS = (
    id_text(jobs.c.id), jobs.c.organization, jobs.c.workspace, jobs.c.user_id, jobs.c.trace_id, jobs.c.run_id,
    jobs.c.model, jobs.c.lane, jobs.c.created_at, results.c.state, results.c.failure, results.c.finished_at,
    results.c.spans,
)  # fmt: skip
_CALLS = (
    id_text(attempts.c.job_id), attempts.c.attempt_no, catalog_entries.c.deployment, attempts.c.outcome,
    attempts.c.billed, attempts.c.failure, attempts.c.input_tokens, attempts.c.output_tokens, attempts.c.cost_picousd,
    attempts.c.started_at,
)  # fmt: skip

_NEW = ~sa.exists().where(trace_facts.c.job_id == results.c.job_id, trace_facts.c.finished_at == results.c.finished_at)
"""Its end was not digested yet; it may have had another one before, and have been retried."""

FRESH = timedelta(minutes=1)
"""Jobs that finished within this time are looked for where they are, if the digest has not come to them yet."""

_NOTHING = Decimal(0)

OVERLAP = timedelta(seconds=1)
"""So much before the place of the digest something may have been committed after it."""


class Finished:
    """Reads facts by the time at which jobs finished."""

    def __init__(self, dialect: str) -> None:
        ids = recordset(dialect, "ids", {"id": Id})
        self._calls = (
            sa.select(*_CALLS)
            .select_from(ids.join(attempts, attempts.c.job_id == ids.c.id))
            .join(catalog_entries, catalog_entries.c.key == attempts.c.entry_key)
            .order_by(attempts.c.job_id, attempts.c.attempt_no)
        )

    def undigested(
        self,
        connection: sa.Connection,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        scope: Scope = EVERYTHING,
        *,
        newest: bool = False,
    ) -> list[Fact]:
        """At most `limit` jobs that finished within the time and were not digested, the oldest (or `newest`) first."""
        query = sa.select(*_COLUMNS).join_from(results, jobs, jobs.c.id == results.c.job_id).where(_NEW)
        if since is not None:
            query = query.where(results.c.finished_at >= since)
        if until is not None:
            query = query.where(results.c.finished_at < until)
        order = results.c.finished_at.desc() if newest else results.c.finished_at
        query = query.where(*within(scope, jobs)).order_by(order).limit(limit)
        rows = connection.execute(query).mappings()
        return self._facts(connection, [dict(row) for row in rows])

    def any_within(self, connection: sa.Connection, since: datetime, until: datetime) -> bool:
        """Whether any job finished within the time and was not digested."""
        within_time = results.c.finished_at >= since, results.c.finished_at < until
        query = sa.select(sa.literal(1)).select_from(results).where(*within_time, _NEW).limit(1)
        return connection.execute(query).first() is not None

    def fresh(
        self, connection: sa.Connection, digested_at: datetime | None, most: int, scope: Scope
    ) -> tuple[list[Fact], bool]:
        """The newest that were not digested, `most` at most and of the last minute; whether that is all of them."""
        earliest: datetime = connection.execute(sa.select(utcnow())).scalar_one() - FRESH
        behind = digested_at is not None and digested_at < earliest
        since = earliest if digested_at is None or behind else digested_at - OVERLAP
        facts = self.undigested(connection, since, None, most, scope, newest=True)
        return facts, not behind and len(facts) < most

    def calls(self, connection: sa.Connection, job_ids: Iterable[str]) -> dict[str, list[Any]]:
        """The ended calls of each job, oldest first."""
        found: dict[str, list[Any]] = defaultdict(list)
        ids = encode_rows({"id": job_id} for job_id in job_ids)
        for row in connection.execute(self._calls, {"ids": ids}):
            found[row.job_id].append(row)
        return found

    def _facts(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> list[Fact]:
        calls = self.calls(connection, [row["id"] for row in rows]) if rows else {}
        return [fact_of(row, calls.get(row["id"], [])) for row in rows]


def fact_of(row: Mapping[str, Any], calls: Sequence[Any]) -> Fact:
    """The fact of a job from its row and those of its calls. Of an open job, as if it ended now (`finished_at`)."""
    failure = row["failure"]
    first = calls[0].started_at if calls else None
    seconds = (row["finished_at"] - row["created_at"]).total_seconds()
    input_tokens = output_tokens = unknown = 0
    cost = _NOTHING
    for call in calls:
        input_tokens += call.input_tokens or 0
        output_tokens += call.output_tokens or 0
        if call.cost_picousd is not None:
            cost += call.cost_picousd
        elif call.billed != Billed.NO:
            unknown += 1
    return Fact(
        job_id=row["id"],
        organization=row["organization"],
        workspace=row["workspace"],
        user=row["user_id"],
        trace_id=row["trace_id"],
        run_id=row["run_id"],
        model=row["model"],
        lane=row["lane"],
        state=row["state"],
        deployment=calls[-1].deployment if calls else "",
        failure_class=(failure or {}).get("class", ""),
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        seconds=max(0.0, seconds),
        wait_seconds=None if first is None else max(0.0, (first - row["created_at"]).total_seconds()),
        calls=len(calls),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=cost,
        cost_known=not unknown,
        failures=_failures(failure, calls),
        visits=stage_visits(row.get("spans")),
    )


def _failures(failure: Mapping[str, Any] | None, calls: Sequence[Any]) -> tuple[FailedCall, ...]:
    """Those of its calls; that of the job itself where none of them failed."""
    if failure is None and len(calls) == 1 and calls[0].failure is None:
        return ()
    found = [
        FailedCall(call.deployment, call.failure["class"], call.failure["message"])
        for call in calls
        if call.outcome != Outcome.SUCCEEDED and call.failure is not None
    ]
    if not found and failure is not None:
        found = [FailedCall("", failure["class"], failure["message"])]
    return tuple(found)
