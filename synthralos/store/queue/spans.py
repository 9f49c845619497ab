"""Spans as text beside their job: each write puts a line behind those before it.

A line is a JSON array of `[name, status, start, microseconds, attributes]` for each span. The start is NULL where the
span before it on the line ended. Where a span has an id of its own, that follows; else its id is derived from its job
and its place. Spans are a quarter of what a finished job leaves behind, so what can be told from the rest is left out.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson

from synthralos.domain.observing import StageVisit
from synthralos.domain.spans import Span, stage_span_id
from synthralos.store.sql.types import encode_json

_MICROSECOND = timedelta(microseconds=1)


def span_line(spans: Iterable[Span]) -> str:
    """The line of one write."""
    fields: list[Any] = []
    last = None
    for span in spans:
        start, end = span.started_at, span.ended_at
        fields.append(
            [span.name, span.status, None if start == last else start, (end - start) // _MICROSECOND, span.attributes]
        )
        last = end
    return encode_json(fields) or "[]"


def read_spans(job_id: str, lines: str | None) -> list[dict[str, Any]]:
    """All spans of a job, from its lines, oldest write first; times are UTC."""
    written = [fields for line in (lines or "").split("\n") if line for fields in orjson.loads(line)]
    spans: list[dict[str, Any]] = []
    for number, (name, status, start, microseconds, attributes, *own_id) in enumerate(written):
        started_at = spans[-1]["ended_at"] if start is None else datetime.fromisoformat(start)
        spans.append(
            {
                "span_id": own_id[0] if own_id else stage_span_id(job_id, number),
                "name": name,
                "status": status,
                "started_at": started_at,
                "ended_at": started_at + microseconds * _MICROSECOND,
                "attributes": attributes,
            }
        )
    return spans


def stage_visits(lines: str | None) -> tuple[StageVisit, ...]:
    """What a job's lines tell of its stages, without times and attributes."""
    return tuple(
        StageVisit(name, microseconds / 1e6, status == "error")
        for line in (lines or "").split("\n")
        if line
        for name, status, _, microseconds, *_ in orjson.loads(line)
    )
