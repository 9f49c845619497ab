"""A job's trace from its rows: one root span, derived attempts, and nothing that JSON could not hold."""

import re
from decimal import Decimal

import orjson
import pytest

from pipelines.analyze.trace import assemble, attempt_span_id, job_view, plain, rfc3339
from synthralos.domain.spans import root_span_id
from tests.fakes.trace_rows import JOB_ID, at, attempt, event, job, stage, timeline


def test_the_root_comes_first_and_is_the_parent_of_all() -> None:
    rows = timeline(attempts=[attempt(1, 3)], spans=[stage("route", 2), stage("guard", 1), stage("execute", 3)])
    spans = assemble(job(), rows)["spans"]
    assert [span["name"] for span in spans] == ["job", "guard", "route", "execute", "attempt 1"]
    assert spans[0]["span_id"] == root_span_id(JOB_ID)
    assert {span["parent_span_id"] for span in spans[1:]} == {root_span_id(JOB_ID)}


def test_the_root_continues_the_senders_trace() -> None:
    assert assemble(job(parent_span_id="cd" * 8), timeline())["spans"][0]["parent_span_id"] == "cd" * 8


@pytest.mark.parametrize(
    ("state", "status"),
    [("queued", "unset"), ("parked", "unset"), ("succeeded", "ok"), ("failed", "error"), ("denied", "error")],
)
def test_the_roots_status_follows_from_the_state(state: str, status: str) -> None:
    assert assemble(job(state=state), timeline())["spans"][0]["status"] == status


def test_an_open_attempt_has_no_end_and_no_usage() -> None:
    unknown = ["billed", "failure", "input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens",
               "output_tokens", "reasoning_tokens", "cost_picousd", "seconds", "ended_at"]  # fmt: skip
    row = attempt(1, 3, outcome="open", **dict.fromkeys(unknown))
    span = assemble(job(state="active"), timeline(attempts=[row]))["spans"][1]
    assert (span["ended_at"], span["status"]) == (None, "unset")
    assert (span["attributes"]["usage"], span["attributes"]["cost_usd"]) == (None, None)


def test_a_lost_attempt_is_an_error_that_may_have_been_billed() -> None:
    row = attempt(1, 3, outcome="lost", billed="maybe", cost_picousd=None)
    span = assemble(job(), timeline(attempts=[row]))["spans"][1]
    assert (span["status"], span["attributes"]["billed"], span["attributes"]["cost_usd"]) == ("error", "maybe", None)


def test_span_ids_of_attempts_are_always_the_same_and_all_different() -> None:
    ids = [attempt_span_id(JOB_ID, number) for number in range(1, 100)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", span_id) for span_id in ids)
    assert ids[0] == attempt_span_id(JOB_ID, 1)


def test_events_keep_their_order_and_their_data() -> None:
    events = assemble(job(), timeline(events=[event(1), event(2)]))["events"]
    assert [entry["id"] for entry in events] == ["e1", "e2"]
    assert events[0] == {"id": "e1", "kind": "retry", "actor": "key:x", "at": "2026-01-31T12:00:01.000000Z", "data": {}}


def test_a_trace_is_ready_for_json_and_money_is_never_in_exponents() -> None:
    trace = assemble(job(), timeline(attempts=[attempt(1, 3)], spans=[stage("guard", 1)], events=[event(1)]))
    assert orjson.loads(orjson.dumps(trace)) == trace
    assert trace["job"]["cost"] == {"usd": "0.000000000001", "known": True, "maybe_billed_attempts": 0}
    assert trace["spans"][0]["attributes"]["cost_usd"] == "0.000000000001"


def test_a_summary_leaves_out_what_was_asked_and_answered() -> None:
    summary, detail = job_view(job(), detail=False), job_view(job(), detail=True)
    more = {"request", "constraints", "verdict", "plan", "result", "waits_for", "expected_at"}
    assert detail.keys() - summary.keys() == more
    assert detail["request"] == {"model": "auto", "messages": [], "provider_options": {}}


def test_unknown_times_and_amounts_stay_unknown() -> None:
    assert (rfc3339(None), plain(None)) == (None, None)
    assert (rfc3339(at(0.5)), plain(Decimal("1.50"))) == ("2026-01-31T12:00:00.500000Z", "1.50")
