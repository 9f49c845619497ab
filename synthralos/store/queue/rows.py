"""What workers write, as rows of one JSON array: flat, with payloads as text, so that they are unfolded once.

Every field costs the database as much as everything else about it, so what is usual is left out; the statements know
what is usual (`USUAL`).
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import AttemptEnd, Billed, Outcome
from synthralos.domain.findings import PASSED
from synthralos.domain.states import TERMINAL, TRANSITIONS, Stage, State, Transition
from synthralos.domain.writes import Settlement, Start
from synthralos.store.queue.spans import span_line
from synthralos.store.sql.recordset import Columns, Row
from synthralos.store.sql.types import Id, Money, encode_json, encode_money, word

FENCE_COLUMNS: Columns = {
    "no": sa.Integer(),
    "id": Id,
    "worker_id": Id,
    "claim_no": sa.Integer(),
    "held": sa.Boolean(),
    "fresh": sa.Boolean(),
}
"""`held`: the claim may be written already; `fresh`: it may be that this write takes it."""

USUAL: Mapping[str, str] = {
    "state": State.SUCCEEDED,
    "stage": Stage.ANALYZE,
    "outcome": Outcome.SUCCEEDED,
    "billed": Billed.YES,
}
"""What a row means that does not say otherwise. Besides, a start is `fresh` and of a job that has passed the guards, an
end is `held` and analyzed, a plan is at its first step, and of the tokens that are counted apart there are none."""

START_COLUMNS: Columns = {
    **FENCE_COLUMNS,
    "attempt_no": sa.Integer(),
    "entry_key": sa.Text(),
    "reserved_picousd": Money(),
    "plan_key": sa.Text(),
    "plan_cursor": sa.Integer(),
    "verdict": sa.Text(),
    "guarded": sa.Boolean(),
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
    "cache_write_1h_tokens": sa.Integer(),
    "output_tokens": sa.Integer(),
    "reasoning_tokens": sa.Integer(),
    "cost_picousd": Money(),
    "seconds": sa.Float(),
    "service_tier": sa.Text(),
    "price": sa.Text(),
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
    claim, verdict, plan = start.job.claim, start.job.verdict, start.plan
    row = {
        "no": no,
        "id": start.job.id,
        "worker_id": claim.worker_id,
        "claim_no": claim.claim_no,
        "attempt_no": start.attempt_no,
        "entry_key": entry_key,
        "plan_key": plan.key,
    }
    if claim.held:
        row["held"], row["fresh"] = True, False
    elif in_doubt:
        row["held"] = True
    if start.reserved is not None:
        row["reserved_picousd"] = encode_money(start.reserved)
    if plan.cursor:
        row["plan_cursor"] = plan.cursor
    if verdict is None:
        row["guarded"] = False
    elif verdict != PASSED:
        row["verdict"] = encode_json(verdict.to_json())
    return row


def settle_row(no: int, s: Settlement) -> Row:
    """A settlement; `ValueError` for a transition that is not a worker's."""
    rule, claim = TRANSITIONS[s.transition], s.job.claim
    if not rule.fenced and s.transition not in (Transition.CANCEL, Transition.EXPIRE):
        raise ValueError(f"{s.transition} is not a worker's transition")
    row: Row = {"no": no, "id": s.job.id, "worker_id": claim.worker_id, "claim_no": claim.claim_no}
    if not claim.held:
        row["held"], row["fresh"] = False, True
    _say(row, "state", rule.target)
    _say(row, "stage", s.stage)
    if not s.analyzed:
        row["analyzed"] = False
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
        row["spans"] = span_line(s.spans)
    if s.attempt is not None:
        _end(row, s.attempt)
    return row


def ends(settlement: Settlement) -> bool:
    """Whether it ends the job."""
    return settlement.state in TERMINAL


def _say(row: Row, name: str, value: str) -> None:
    if value != USUAL[name]:
        row[name] = value


def _end(row: Row, end: AttemptEnd) -> None:
    row["attempt_no"], row["seconds"] = end.attempt_no, end.seconds
    _say(row, "outcome", end.outcome)
    _say(row, "billed", end.billed)
    if end.provider_model is not None:
        row["provider_model"] = end.provider_model
    if end.provider_request_id is not None:
        row["provider_request_id"] = end.provider_request_id
    if end.cost is not None:
        row["cost_picousd"] = encode_money(end.cost)
    if end.failure is not None:
        row["attempt_failure"] = encode_json(end.failure.to_json())
    if end.service_tier is not None:
        row["service_tier"] = end.service_tier
    if end.price is not None:
        row["price"] = encode_json(end.price.to_json())
    usage = end.usage
    if usage is not None:
        row["input_tokens"], row["output_tokens"] = usage.input, usage.output
        if usage.cached or usage.cache_write or usage.reasoning:
            row["cached_tokens"], row["cache_write_tokens"] = usage.cached, usage.cache_write
            row["reasoning_tokens"] = usage.reasoning
            if usage.cache_write_1h:
                row["cache_write_1h_tokens"] = usage.cache_write_1h


def usual(name: str, column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A row's field, or what it means where it says nothing."""
    return sa.func.coalesce(column, word(USUAL[name]))


def counted_apart(row: Any, kind: str) -> sa.ColumnElement[int]:
    """Tokens counted beside input and output: none where the row says nothing, unknown where no tokens are known."""
    none = sa.case((row.input_tokens.is_not(None), sa.literal_column("0")))
    return sa.func.coalesce(row[f"{kind}_tokens"], none)
