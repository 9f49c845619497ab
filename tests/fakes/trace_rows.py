"""The rows of a finished job, as `Reader` gives them, from which a trace is assembled."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

JOB_ID = "01890000-0000-7000-8000-000000000001"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def job(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": JOB_ID, "state": "succeeded", "stage": "analyze", "lane": "bulk", "model": "auto",
        "organization": "acme", "workspace": "main", "user_id": "ann", "trace_id": "ab" * 16,
        "parent_span_id": None, "run_id": None, "api_key_id": None, "metadata": {}, "created_at": at(0), "run_at": None,
        "deadline": None, "finished_at": at(9), "attempts": 1, "cost": Decimal("1E-12"), "cost_known": True,
        "maybe_billed": 0, "failure": None, "request": {"body": {"messages": []}, "provider_options": {}},
        "constraints": {}, "verdict": None, "plan": None, "result": {"text": "Hi"}, "losses": 0, "analyzed_at": at(9),
    }  # fmt: skip
    return {**row, **changes}


def attempt(number: int, begun: float, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "job_id": JOB_ID, "attempt_no": number, "deployment": "sandbox/small@eu", "provider": "sandbox",
        "model": "small", "region": "eu", "outcome": "succeeded", "billed": "yes", "late": False, "failure": None,
        "provider_model": "small", "provider_request_id": "r", "input_tokens": 3, "cached_tokens": 0,
        "cache_write_tokens": 0, "cache_write_1h_tokens": 0, "service_tier": "standard", "credential": None,
        "output_tokens": 5, "reasoning_tokens": 0, "reserved_picousd": Decimal("0.001"),
        "cost_picousd": Decimal("0.00010"), "seconds": 1.5, "started_at": at(begun), "ended_at": at(begun + 1),
    }  # fmt: skip
    return {**row, **changes}


def stage(name: str, begun: float) -> dict[str, Any]:
    return {
        "job_id": JOB_ID, "span_id": f"{name:0<16}"[:16], "name": name, "status": "ok",
        "started_at": at(begun), "ended_at": at(begun + 1), "attributes": {"batch": 3},
    }  # fmt: skip


def event(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "job_id": JOB_ID, "kind": "retry", "actor": "key:x", "data": {}, "at": at(number)}


def timeline(*, attempts: Any = (), spans: Any = (), events: Any = ()) -> dict[str, Any]:
    return {"attempts": list(attempts), "spans": list(spans), "events": list(events)}
