"""What workers write, as rows of one JSON array: flat, with payloads as text, so that they are unfolded once."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from synthralos.domain.attempts import AttemptEnd
from synthralos.domain.jobs import Job
from synthralos.domain.spans import Span
from synthralos.domain.states import TERMINAL, TRANSITIONS, Transition
from synthralos.domain.writes import Settlement, Start
from synthralos.store.sql.recordset import Columns, Row
from synthralos.store.sql.types import Id, Money, encode_json, encode_money, encode_time

FENCE_COLUMNS: Columns = {
    "no": sa.Integer(),
    "id": Id,
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "held": sa.Boolean(),
    "fresh": sa.Boolean(),
}
"""`held`: the claim may be written already; `fresh`: it may be that this write takes it."""

START_COLUMNS: Columns = {
    **FENCE_COLUMNS,
    "attempt_no": sa.Integer(),
    "entry_key": sa.Text(),
    "reserved_picousd": Money(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": sa.Text(),
}
END_COLUMNS: Columns = {
    "outcome": sa.Text(),
    "billed": sa.Text(),
    "attempt_failure": sa.Text(),
    "provider_model": sa.Text(),
    "provider_request_id": sa.Text(),
    "input_tokens": sa.Integer(),
    "cached_tokens": sa.Integer(),
    "cache_write_tokens": sa.Integer(),
    "output_tokens": sa.Integer(),
    "reasoning_tokens": sa.Integer(),
    "cost_picousd": Money(),
    "seconds": sa.Float(),
}
SETTLE_COLUMNS: Columns = {
    **FENCE_COLUMNS,
    "state": sa.Text(),
    "stage": sa.Text(),
    "delay": sa.Float(),
    "analyzed": sa.Boolean(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": sa.Text(),
    "failure": sa.Text(),
    "result": sa.Text(),
    "constraints": sa.Text(),
    "spans": sa.Text(),
    "attempt_no": sa.Integer(),
    **END_COLUMNS,
}


def start_row(no: int, start: Start, entry_key: str, in_doubt: bool) -> Row:
    """A start. `in_doubt`: it was sent before, and nobody knows whether it was written."""
    verdict = start.job.verdict
    return {
        **_fence(no, start.job, in_doubt),
        "attempt_no": start.attempt_no,
        "entry_key": entry_key,
        "reserved_picousd": encode_money(start.reserved),
        "plan_key": start.plan.key,
        "plan_cursor": start.plan.cursor,
        "verdict": None if verdict is None else encode_json(verdict.to_json()),
    }


def settle_row(no: int, s: Settlement) -> Row:
    """A settlement; `ValueError` for a transition that is not a worker's. What it does not say is left out."""
    rule = TRANSITIONS[s.transition]
    if not rule.fenced and s.transition not in (Transition.CANCEL, Transition.EXPIRE):
        raise ValueError(f"{s.transition} is not a worker's transition")
    row = {**_fence(no, s.job, False), "state": rule.target, "stage": s.stage, "analyzed": s.analyzed}
    if s.delay is not None:
        row["delay"] = s.delay
    if s.plan is not None:
        row["plan_key"], row["plan_cursor"] = s.plan.key, s.plan.cursor
    if s.verdict is not None:
        row["verdict"] = encode_json(s.verdict.to_json())
    for name, payload in (("failure", s.failure), ("result", s.result), ("constraints", s.constraints)):
        if payload is not None:
            row[name] = encode_json(payload)
    if s.spans:
        row["spans"] = span_lines(s.spans)
    if s.attempt is not None:
        row.update(_end(s.attempt))
    return row


def ends(settlement: Settlement) -> bool:
    """Whether it ends the job."""
    return settlement.state in TERMINAL


def _fence(no: int, job: Job, in_doubt: bool) -> Row:
    claim = job.claim
    return {
        "no": no,
        "id": job.id,
        "worker_id": claim.worker_id,
        "claim_no": claim.claim_no,
        "held": claim.held or in_doubt,
        "fresh": not claim.held,
    }


def _end(end: AttemptEnd) -> Row:
    usage = end.usage
    row: Row = {
        "attempt_no": end.attempt_no,
        "outcome": end.outcome,
        "billed": end.billed,
        "provider_model": end.provider_model,
        "provider_request_id": end.provider_request_id,
        "cost_picousd": encode_money(end.cost),
        "seconds": end.seconds,
    }
    if end.failure is not None:
        row["attempt_failure"] = encode_json(end.failure.to_json())
    if usage is not None:
        row["input_tokens"], row["output_tokens"] = usage.input, usage.output
        row["cached_tokens"], row["cache_write_tokens"] = usage.cached, usage.cache_write
        row["reasoning_tokens"] = usage.reasoning
    return row


def span_lines(spans: Iterable[Span]) -> str:
    """Spans as they stand beside their job: JSON, one a line."""
    return "\n".join(encode_json(_span(span)) or "" for span in spans)


def _span(span: Span) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "name": span.name,
        "status": span.status,
        "started_at": encode_time(span.started_at),
        "ended_at": encode_time(span.ended_at),
        "attributes": span.attributes,
    }


def read_spans(lines: str | None) -> list[Mapping[str, Any]]:
    """The inverse of `span_lines`; times are text."""
    return [orjson.loads(line) for line in (lines or "").split("\n") if line]
