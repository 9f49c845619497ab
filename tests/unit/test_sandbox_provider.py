import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.output_schema import misfit_of
from pipelines.providers.protocol import Call, answer_to
from pipelines.providers.sandbox import SandboxProvider, check_options
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage
from tests.fakes import calls

SANDBOX = calls.deployment("sandbox")


def end_of(call: Call, provider: SandboxProvider | None = None) -> Reply | Failure:
    async def whole() -> Reply | Failure:
        sandbox = provider or SandboxProvider()
        try:
            return await answer_to(call, sandbox.begin)
        finally:
            await sandbox.close()

    return asyncio.run(whole())


def told(prompt: str = "Say hello.", attempt_no: int = 1, timeout: float = 30.0, **options: Any) -> Call:
    request = calls.request(prompt, {"sandbox": options})
    return calls.call(SANDBOX, request, attempt_no=attempt_no, timeout=timeout)


def reply_to(call: Call) -> Reply:
    reply = end_of(call)
    assert isinstance(reply, Reply)
    return reply


def test_the_same_request_always_gets_the_same_answer_and_another_one_another() -> None:
    one, again, other = (reply_to(told(prompt)) for prompt in ("Explain tides.", "Explain tides.", "Explain winds."))
    assert (one.text, one.usage) == (again.text, again.usage)
    assert one.text != other.text


def test_an_answer_that_was_asked_for_as_json_is_json() -> None:
    call = calls.call(SANDBOX, calls.request(response_format={"type": "json_object"}))
    assert isinstance(json.loads(reply_to(call).text or ""), dict)


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "x"}},
        *(
            {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            for schema in ({"type": "object"}, {"required": ["a"]}, {}, {"type": ["object", "array", "null"]})
        ),
    ],
)
def test_told_not_to_fit_it_answers_and_bills_what_does_not_fit(response_format: dict[str, Any]) -> None:
    asked = calls.request("Hello", {"sandbox": {"failures": ["schema_mismatch"]}}, response_format=response_format)
    first, second = (reply_to(calls.call(SANDBOX, asked, attempt_no=number)) for number in (1, 2))
    fits = misfit_of(response_format)
    assert fits(first.text) is not None
    assert fits(second.text) is None
    assert first.usage is not None


def test_a_misfit_without_a_form_is_a_failure_that_is_billed() -> None:
    failure = end_of(told(failures=["schema_mismatch"]))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.SCHEMA_MISMATCH
    assert failure.usage is not None


def test_a_token_is_four_bytes_and_a_message_costs_three_more() -> None:
    assert reply_to(told("12345678", text="123456789")).usage == Usage(input=3 + 2, output=3)


def test_the_answer_ends_at_the_limit_that_the_request_sets() -> None:
    reply = reply_to(calls.call(SANDBOX, calls.request("Tell me a long story.", max_output_tokens=4)))
    assert reply.finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.output == 4
    assert len((reply.text or "").encode()) <= 16


def test_a_prompt_beyond_the_window_fails_as_too_long_without_being_told_to() -> None:
    small = calls.deployment("sandbox", context_window=10, max_output=5)
    failure = end_of(calls.call(small, calls.request("word " * 100)))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.CONTEXT_LENGTH


def test_failures_follow_the_attempt_number() -> None:
    failures = ["rate_limited", None, "overloaded"]
    ends = [end_of(told(attempt_no=number, failures=failures)) for number in (1, 2, 3, 4)]
    assert [e.failure_class if isinstance(e, Failure) else None for e in ends] == [
        FailureClass.RATE_LIMITED,
        None,
        FailureClass.OVERLOADED,
        None,
    ]


def test_failures_can_be_tied_to_a_deployment() -> None:
    assert isinstance(end_of(told(failures_at={SANDBOX.id: "server_error"})), Failure)
    assert isinstance(end_of(told(failures_at={"sandbox/other@us": "server_error"})), Reply)


def test_a_delay_beyond_the_timeout_is_a_timeout_in_time() -> None:
    failure = end_of(told(timeout=0.01, delay_seconds=3600))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.TIMEOUT


def test_every_call_is_on_the_bill_once_and_only_what_may_be_billed_costs(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    provider = SandboxProvider(bill)
    failures = [None, "rate_limited", "ambiguous", "connection"]
    asked = [told(attempt_no=number, failures=failures, output_tokens=100) for number in (1, 2, 3, 4)]
    for call in asked:
        end_of(call, provider)
    lines = [json.loads(line) for line in bill.read_text().splitlines()]
    assert [(line["job_id"], line["attempt_no"]) for line in lines] == [(c.job_id, c.attempt_no) for c in asked]
    assert [line["billed"] for line in lines] == [True, False, True, False]
    assert calls.PRICE.cost(Usage(lines[0]["input_tokens"], 100)) == Decimal(lines[0]["cost_usd"])
    assert provider.billed == sum(Decimal(line["cost_usd"]) for line in lines if line["cost_usd"])
    assert provider.calls.total() == 4


def test_a_cancelled_call_is_on_the_bill_already(tmp_path: Path) -> None:
    async def cancelled() -> None:
        provider = SandboxProvider(tmp_path / "bill.jsonl")
        task = asyncio.create_task(answer_to(told(delay_seconds=20), provider.begin))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await provider.close()

    asyncio.run(cancelled())
    assert len((tmp_path / "bill.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delay_seconds": 0.5, "output_tokens": 10, "text": "hi", "retry_after_seconds": 3},
        {"failures": [None, *(str(c) for c in FailureClass)], "failures_at": {"sandbox/small@us": "timeout"}},
    ],
)
def test_right_options_are_accepted(options: dict[str, Any]) -> None:
    assert check_options(options) == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"delay": 1}, "delay"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"delay_seconds": True}, "delay_seconds"),
        ({"delay_seconds": float("inf")}, "delay_seconds"),
        ({"delay_seconds": "1"}, "delay_seconds"),
        ({"output_tokens": 1.5}, "output_tokens"),
        ({"text": 1}, "text"),
        ({"failures": "timeout"}, "failures"),
        ({"failures": ["timeout", "boredom"]}, "failures[1]"),
        ({"failures": [["timeout"]]}, "failures[0]"),
        ({"failures_at": ["timeout"]}, "failures_at"),
        ({"failures_at": {"sandbox/small@us": "boredom"}}, "failures_at.sandbox/small@us"),
    ],
)
def test_a_wrong_option_is_named_and_fails_the_call_if_it_gets_that_far(options: dict[str, Any], field: str) -> None:
    assert [name for name, _ in check_options(options)] == [field]
    failure = end_of(told(**options))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.INVALID_REQUEST
