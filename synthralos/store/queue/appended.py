"""Rows that are appended beside what becomes of a job, in the same transaction: one line of `APPENDED` a table."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Event
from synthralos.domain.waits import WaitState
from synthralos.domain.writes import Settlement
from synthralos.store.sql.recordset import Columns, Row, RowFilter, insert_ignoring, insert_updating, recordset
from synthralos.store.sql.types import Id, Json, UtcTime, asked_at, encode_time, utcnow
from synthralos.store.tables import event_logs, export_backlog, prompt_similarity_logs, repairs, waits


@dataclass(frozen=True, slots=True)
class Appended:
    """One table, and what a settlement appends to it. `stamp` is the column that gets the database's time.

    `again`: what is set where there is such a row already; None: it stays as it is. `clock`: what is stamped.
    """

    table: sa.Table
    columns: Columns
    stamp: str
    rows: Callable[[Settlement, Sequence[str]], Iterable[Row]]
    again: Columns | None = None
    clock: Callable[[], sa.ColumnElement[datetime]] = utcnow

    def insert(self, dialect: str, parameter: str = "rows", chosen: RowFilter | None = None) -> sa.Insert:
        """The statement; its parameter holds rows of `columns`. Where some are `chosen`, each has a number `no`."""
        given = self.columns if chosen is None else {**self.columns, "no": sa.Integer()}
        rows = recordset(dialect, parameter, given)
        select = sa.select(*(rows.c[name] for name in self.columns), self.clock())
        if chosen is not None:
            select = select.where(chosen(rows))
        columns = [*self.columns, self.stamp]
        if self.again is not None:
            return insert_updating(dialect, self.table, columns, select, self.again)
        return insert_ignoring(dialect, self.table, columns, select)


def event_row(job_id: str, organization: str, event: Event) -> dict[str, Any]:
    """An event of a job."""
    return {
        "id": event.id,
        "job_id": job_id,
        "organization": organization,
        "kind": event.kind,
        "actor": event.actor,
        "data": event.data,
    }


def backlog_rows(job_id: str, destinations: Sequence[str]) -> list[Row]:
    """What a finished job owes each destination."""
    return [{"destination": destination, "job_id": job_id} for destination in destinations]


def _events(settlement: Settlement, _: Sequence[str]) -> Iterable[Row]:
    job = settlement.job
    return [event_row(job.id, job.tenant.organization, event) for event in settlement.events]


def _owed(settlement: Settlement, destinations: Sequence[str]) -> Iterable[Row]:
    return backlog_rows(settlement.job.id, destinations) if settlement.analyzed and settlement.exported else []


def _prompts(settlement: Settlement, _: Sequence[str]) -> Iterable[Row]:
    job, compared = settlement.job, settlement.compared
    if compared is None:
        return []
    best = compared.matches[0] if compared.matches else None
    return [
        {
            "job_id": job.id,
            "organization": job.tenant.organization,
            "workspace": job.tenant.workspace,
            "user_id": job.tenant.user,
            "trace_id": job.trace_id,
            "fingerprint": compared.fingerprint,
            "request_key": compared.request_key,
            "embedder": compared.embedder,
            "vector": b64encode(compared.vector).decode(),
            "matched_job_id": None if best is None else best.job_id,
            "score": None if best is None else best.score,
            "matches": [match.to_json() for match in compared.matches] or None,
        }
    ]


def _waits(settlement: Settlement, _: Sequence[str]) -> Iterable[Row]:
    job, wait = settlement.job, settlement.wait
    if wait is None:
        return []
    return [
        {
            "id": wait.id,
            "organization": job.tenant.organization,
            "workspace": job.tenant.workspace,
            "user_id": job.tenant.user,
            "job_id": job.id,
            "run_id": job.run_id,
            "kind": wait.kind,
            "name": wait.name,
            "prompt": wait.prompt,
            "state": WaitState.OPEN,
            "default_answer": wait.default,
            "grants": wait.grants,
            "comment": "",
            "deadline": encode_time(wait.deadline),
        }
    ]


def _repairs(settlement: Settlement, _: Sequence[str]) -> Iterable[Row]:
    job, repair = settlement.job, settlement.repair
    if repair is None:
        return []
    return [
        {
            "id": repair.id,
            "organization": job.tenant.organization,
            "workspace": job.tenant.workspace,
            "user_id": job.tenant.user,
            "job_id": job.id,
            "run_id": job.run_id,
            "subject": f"job:{job.id}",
            "kind": repair.kind,
            "workflow": repair.workflow,
            "parameters": dict(repair.parameters),
            "reason": repair.reason,
            "failure_class": repair.failure_class,
            "state": repair.state,
            "asked_by": "heal",
            "until": encode_time(repair.until),
            "outcome": "",
        }
    ]


EVENTS = Appended(
    event_logs,
    {"id": Id, "job_id": Id, "organization": sa.Text(), "kind": sa.Text(), "actor": sa.Text(), "data": Json},
    "at",
    _events,
)
_ONE, _NONE = sa.literal_column("1", sa.Integer()), sa.literal_column("0", sa.Integer())


def _asked() -> sa.ColumnElement[datetime]:
    """The same for all rows of a statement: so all destinations are owed a trace since the same moment."""
    return asked_at(_NONE)


_ANEW = {"claim_no": export_backlog.c.claim_no + _ONE, "tries": _NONE, "since": _asked()}

BACKLOG = Appended(export_backlog, {"destination": sa.Text(), "job_id": Id}, "since", _owed, _ANEW, _asked)
"""A trace that changes while it is owed or being shipped is owed as it is then: `Backlog.book` goes by the number."""

PROMPTS = Appended(
    prompt_similarity_logs,
    {
        "job_id": Id, "organization": sa.Text(), "workspace": sa.Text(), "user_id": sa.Text(), "trace_id": sa.Text(),
        "fingerprint": sa.Text(), "request_key": sa.Text(), "embedder": sa.Text(), "vector": sa.Text(),
        "matched_job_id": Id, "score": sa.Float(), "matches": Json,
    },
    "at",
    _prompts,
)  # fmt: skip

WAITS = Appended(
    waits,
    {
        "id": Id, "organization": sa.Text(), "workspace": sa.Text(), "user_id": sa.Text(), "job_id": Id,
        "run_id": sa.Text(), "kind": sa.Text(), "name": sa.Text(), "prompt": sa.Text(), "state": sa.Text(),
        "default_answer": Json, "grants": Json, "comment": sa.Text(), "deadline": UtcTime(),
    },
    "opened_at",
    _waits,
)  # fmt: skip
"""A job that has an open one already keeps that."""

REPAIRS = Appended(
    repairs,
    {
        "id": Id, "organization": sa.Text(), "workspace": sa.Text(), "user_id": sa.Text(), "job_id": Id,
        "run_id": sa.Text(), "subject": sa.Text(), "kind": sa.Text(), "workflow": sa.Text(), "parameters": Json,
        "reason": sa.Text(), "failure_class": sa.Text(), "state": sa.Text(), "asked_by": sa.Text(),
        "until": UtcTime(), "outcome": sa.Text(),
    },
    "asked_at",
    _repairs,
)  # fmt: skip
"""A job that has an open one already keeps that, and waits for it."""

APPENDED = {"events": EVENTS, "owed": BACKLOG, "prompts": PROMPTS, "waits": WAITS, "repairs": REPAIRS}
"""By the name of the parameter that holds the rows."""
