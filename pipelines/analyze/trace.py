"""The published forms of a job and of its trace, made from the rows of the store.

The API answers with them and the exporters ship them. Everything is ready for JSON: times are RFC 3339 in UTC
with a `Z`, money is a plain decimal string, what is unknown is null.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from synthralos.domain.attempts import Outcome
from synthralos.domain.findings import Decision
from synthralos.domain.repairs import awaits_repair
from synthralos.domain.spans import root_span_id
from synthralos.domain.states import TERMINAL, State

Row = Mapping[str, Any]

_ATTEMPT_STATUS = {Outcome.OPEN: "unset", Outcome.SUCCEEDED: "ok"}


def assemble(job: Row, timeline: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """One job of a trace: `job`, `spans` (root first, then by start) and `events` (oldest first).

    `job` is a row of `Reader.jobs`, `timeline` what `Reader.timeline` gives. The job's own span and those of
    its attempts are derived, with ids that are always the same; the stages' spans are rows.
    """
    root = root_span(job)
    spans = [stage_span(job, row) for row in timeline["spans"]]
    spans += [attempt_span(job, row) for row in timeline["attempts"]]
    return {
        "job": job_view(job, detail=True),
        "spans": [root, *sorted(spans, key=lambda span: (span["started_at"], span["kind"] != "stage"))],
        "events": [event_view(row) for row in timeline["events"]],
    }


def job_view(job: Row, *, detail: bool) -> dict[str, Any]:
    """A job as the API shows it; `detail` adds what was asked, decided, planned and answered."""
    view = {
        "id": job["id"],
        "state": job["state"],
        "stage": job["stage"],
        "lane": job["lane"],
        "model": job["model"],
        "organization": job["organization"],
        "workspace": job["workspace"],
        "user": job["user_id"],
        "trace_id": job["trace_id"],
        "run_id": job["run_id"],
        "api_key_id": job["api_key_id"],
        "metadata": job["metadata"],
        "created_at": rfc3339(job["created_at"]),
        "run_at": rfc3339(job["run_at"]),
        "deadline": rfc3339(job["deadline"]),
        "finished_at": rfc3339(job["finished_at"]),
        "attempts": job["attempts"],
        "cost": cost_view(job["cost"], job["cost_known"], job["maybe_billed"]),
        "failure": job["failure"],
    }
    return {**view, **_details(job)} if detail else view


def cost_view(usd: Decimal, known: bool, maybe_billed_attempts: int) -> dict[str, Any]:
    """What was spent: the known part, whether that is all of it, and how many attempts may have been billed."""
    return {"usd": plain(usd), "known": known, "maybe_billed_attempts": maybe_billed_attempts}


def root_span(job: Row) -> dict[str, Any]:
    """The span of the job itself, from its acceptance to its end."""
    attributes = {
        "job_id": job["id"],
        "organization": job["organization"],
        "workspace": job["workspace"],
        "user": job["user_id"],
        "run_id": job["run_id"],
        "lane": job["lane"],
        "model": job["model"],
        "state": job["state"],
        "attempts": job["attempts"],
        "cost_usd": plain(job["cost"]),
        "cost_known": job["cost_known"],
    }
    status = "unset" if job["state"] not in TERMINAL else "ok" if job["state"] == State.SUCCEEDED else "error"
    return {
        "span_id": root_span_id(job["id"]),
        "parent_span_id": job["parent_span_id"],
        "name": "job",
        "kind": "job",
        "started_at": rfc3339(job["created_at"]),
        "ended_at": rfc3339(job["finished_at"]),
        "status": status,
        "attributes": attributes,
    }


def stage_span(job: Row, row: Row) -> dict[str, Any]:
    """The span of one stage, from its row in `spans`."""
    return {
        "span_id": row["span_id"],
        "parent_span_id": root_span_id(job["id"]),
        "name": row["name"],
        "kind": "stage",
        "started_at": rfc3339(row["started_at"]),
        "ended_at": rfc3339(row["ended_at"]),
        "status": row["status"],
        "attributes": row["attributes"],
    }


def attempt_span(job: Row, row: Row) -> dict[str, Any]:
    """The span of one provider call, from its row in `attempts`; an open one has no end yet."""
    known = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")
    usage = None if row["input_tokens"] is None else {name: row[f"{name}_tokens"] for name in known}
    attributes = {
        "attempt_no": row["attempt_no"],
        "deployment": row["deployment"],
        "provider": row["provider"],
        "model": row["model"],
        "region": row["region"],
        "service_tier": row["service_tier"],
        "credential": row["credential"],
        "outcome": row["outcome"],
        "billed": row["billed"],
        "late": row["late"],
        "failure": row["failure"],
        "provider_model": row["provider_model"],
        "provider_request_id": row["provider_request_id"],
        "usage": usage,
        "reserved_usd": plain(row["reserved_picousd"]),
        "cost_usd": plain(row["cost_picousd"]),
        "seconds": row["seconds"],
    }
    return {
        "span_id": attempt_span_id(job["id"], row["attempt_no"]),
        "parent_span_id": root_span_id(job["id"]),
        "name": f"attempt {row['attempt_no']}",
        "kind": "attempt",
        "started_at": rfc3339(row["started_at"]),
        "ended_at": rfc3339(_answered_at(row)),
        "status": _ATTEMPT_STATUS.get(row["outcome"], "error"),
        "attributes": attributes,
    }


def _answered_at(row: Row) -> datetime | None:
    """When the answer was there: the row itself ends with the transaction that booked it, a moment later."""
    booked: datetime | None = row["ended_at"]
    if booked is None or row["seconds"] is None:
        return booked
    answered: datetime = row["started_at"] + timedelta(seconds=row["seconds"])
    return min(booked, answered)


def attempt_span_id(job_id: str, attempt_no: int) -> str:
    """The span id of an attempt: derived, so that every export and every repeat names it alike."""
    return hashlib.sha256(f"{job_id}/{attempt_no}".encode()).hexdigest()[:16]


def event_view(row: Row) -> dict[str, Any]:
    """An entry of `event_logs` as it is published."""
    return {"id": row["id"], "kind": row["kind"], "actor": row["actor"], "at": rfc3339(row["at"]), "data": row["data"]}


def feedback_view(row: Row) -> dict[str, Any]:
    """What somebody said of a job, as it is published."""
    said = {name: row[name] for name in ("source", "score", "comment")}
    return {**said, "label": row["label"] or None, "by": row["created_by"], "at": rfc3339(row["at"])}


def similarity_view(row: Row) -> dict[str, Any]:
    """What the comparison of a job's prompt with earlier ones came to, as it is published."""
    said = {name: row[name] for name in ("matched_job_id", "matched_classification", "score", "matches", "embedder")}
    return {**said, "at": rfc3339(row["at"])}


def rfc3339(moment: datetime | None) -> str | None:
    """A UTC instant as `2026-01-31T12:00:00.000000Z`."""
    return None if moment is None else moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def plain(amount: Decimal | None) -> str | None:
    """US dollars as a decimal string without an exponent."""
    return None if amount is None else format(amount, "f")


def waits_for(job: Row) -> str | None:
    """Why a job is parked, where a guard put it off; for what it waits in line."""
    if (standing := job.get("standing")) is not None:
        return str(standing.reason)
    if awaits_repair(job["state"], job["stage"]):
        return "a repair by StackStorm"
    if job["state"] != State.PARKED or job["verdict"] is None:
        return None
    verdict = job["verdict"]
    findings = (orjson.loads(orjson.dumps(verdict)) if isinstance(verdict, orjson.Fragment) else verdict)["findings"]
    return "; ".join(each["reason"] for each in findings if each["decision"] == Decision.DEFER) or None


def expected_at(job: Row) -> str | None:
    """About when a job that waits in line has its turn."""
    standing = job.get("standing")
    return None if standing is None else rfc3339(standing.expected_at)


def _details(job: Row) -> dict[str, Any]:
    request = job["request"]
    return {
        "request": {"model": job["model"], **request["body"], "provider_options": request["provider_options"]},
        "constraints": job["constraints"],
        "verdict": job["verdict"],
        "waits_for": waits_for(job),
        "expected_at": expected_at(job),
        "plan": job["plan"],
        "result": job["result"],
    }
