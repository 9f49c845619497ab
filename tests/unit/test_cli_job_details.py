"""`synthralos jobs show`: what guards said of a job, and what it waits for."""

from typing import Any

import pytest
from rich.console import Console

from cli.job_views import details
from synthralos_client import Job

RAW = {
    "id": "019a0000-0000-7000-8000-000000000000", "state": "parked", "stage": "guard", "lane": "bulk", "model": "auto",
    "organization": "acme", "workspace": "main", "user": None, "trace_id": "0" * 32, "run_id": None, "metadata": {},
    "created_at": "2026-01-01T12:00:00Z", "run_at": "2026-01-01T12:01:00Z", "deadline": None, "finished_at": None,
    "attempts": 0, "cost": {"usd": "0", "known": True, "maybe_billed_attempts": 0}, "failure": None,
    "waits_for": "the limit of 2 requests a minute", "verdict": None, "plan": None, "result": None,
}  # fmt: skip


def shown(**changes: Any) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(details(Job.from_json({**RAW, **changes})))
    return capture.get()


def test_a_parked_job_says_for_what_it_waits() -> None:
    assert "waits for" in shown()
    assert "the limit of 2 requests a minute" in shown()


@pytest.mark.parametrize(("decision", "row"), [("flag", "flagged"), ("deny", "denied")])
def test_what_guards_found_is_shown(decision: str, row: str) -> None:
    found = {"decision": decision, "findings": [{"guard": "abuse", "decision": decision, "reason": "it looks odd"}]}
    [line] = [line for line in shown(verdict=found, waits_for=None).splitlines() if line.startswith(row)]
    assert "it looks odd" in line
