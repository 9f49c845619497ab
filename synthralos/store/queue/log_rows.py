"""Spans and events: the rows of a job's timeline, as both workers and operators write them."""

from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Event
from synthralos.domain.spans import Span
from synthralos.store.sql.recordset import Columns, RowFilter, batch, insert_ignoring
from synthralos.store.sql.types import Id, Json, UtcTime, utcnow
from synthralos.store.tables import event_logs, spans

_SPAN_COLUMNS: Columns = {
    "job_id": Id,
    "span_id": sa.Text(),
    "name": sa.Text(),
    "status": sa.Text(),
    "started_at": UtcTime(),
    "ended_at": UtcTime(),
    "attributes": Json,
}
_EVENT_COLUMNS: Columns = {
    "id": Id,
    "job_id": Id,
    "organization": sa.Text(),
    "kind": sa.Text(),
    "actor": sa.Text(),
    "data": Json,
}


def span_row(job_id: str, span: Span) -> dict[str, Any]:
    """A span as `insert_spans` takes it. Its times need not sort as text, so the encoder may write them."""
    return {
        "job_id": job_id,
        "span_id": span.span_id,
        "name": span.name,
        "status": span.status,
        "started_at": span.started_at,
        "ended_at": span.ended_at,
        "attributes": span.attributes,
    }


def event_row(job_id: str, organization: str, event: Event) -> dict[str, Any]:
    """An event as `insert_events` takes it."""
    return {
        "id": event.id,
        "job_id": job_id,
        "organization": organization,
        "kind": event.kind,
        "actor": event.actor,
        "data": event.data,
    }


def insert_spans(dialect: str, parameter: str = "rows", chosen: RowFilter | None = None) -> sa.Insert:
    """The statement; its parameter holds `span_row`s."""
    rows, columns, where = batch(dialect, parameter, _SPAN_COLUMNS, chosen)
    select = sa.select(*(rows.c[name] for name in columns)).where(*where)
    return insert_ignoring(dialect, spans, columns, select)


def insert_events(dialect: str, parameter: str = "rows", chosen: RowFilter | None = None) -> sa.Insert:
    """The statement; its parameter holds `event_row`s. The time is the database's."""
    rows, columns, where = batch(dialect, parameter, _EVENT_COLUMNS, chosen)
    select = sa.select(*(rows.c[name] for name in columns), utcnow()).where(*where)
    return insert_ignoring(dialect, event_logs, [*columns, "at"], select)
