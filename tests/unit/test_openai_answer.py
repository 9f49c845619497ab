import json
from typing import Any

import pytest

from pipelines.providers.openai_answer import decode
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi", **message}, "finish_reason": "stop"}
    return {"id": "c1", "model": "gpt-x-1", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


def decoded(document: Any) -> Reply | Failure:
    return decode(json.dumps(document).encode(), {"x-request-id": "req_1"})


def test_a_completion_becomes_a_reply() -> None:
    assert decoded(completion()) == Reply("hi", Usage(5, 2), "stop", "gpt-x-1", [], "req_1")


def test_tool_calls_come_along() -> None:
    tool_calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    reply = decoded(completion(content=None, tool_calls=tool_calls))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.tool_calls) == (None, tool_calls)


def test_a_refusal_is_the_text_of_the_answer() -> None:
    reply = decoded(completion(content=None, refusal="I cannot do that."))
    assert isinstance(reply, Reply)
    assert reply.text == "I cannot do that."


def test_a_filtered_answer_is_a_failure_that_was_billed() -> None:
    document = completion()
    document["choices"][0]["finish_reason"] = "content_filter"
    failure = decoded(document)
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.CONTENT_FILTERED
    assert failure.usage == Usage(5, 2)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": []}]},
    ],
)
def test_an_answer_that_is_no_completion_may_have_been_billed(document: Any) -> None:
    failure = decoded(document)
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.AMBIGUOUS


TOOL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USED = b'"usage": {"prompt_tokens": 5, "completion_tokens": 2}'
DEEP = b"[" * 900 + b"]" * 900


def kept(body: bytes, **headers: str) -> Reply:
    reply = decode(body, headers)
    assert isinstance(reply, Reply)
    assert reply.usage == Usage(5, 2)
    return reply


def with_content(content: bytes) -> bytes:
    return b'{"choices": [{"message": {"content": ' + content + b"}}], " + USED + b"}"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (with_content(rb'"smile \ud83d cut"'), "smile \ufffd cut"),
        (with_content(b'"caf\xe9"'), "caf\ufffd"),
        (with_content(b'"two\nlines"'), "two\nlines"),
        (b"\xef\xbb\xbf" + with_content(b'"marked"'), "marked"),
        (with_content(b'"wide"').decode().encode("utf-16"), "wide"),
        (with_content(b'"then more"') + b"\n{}", "then more"),
        (with_content(b'[{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]'), "in parts"),
        (with_content(b'["in ", "strings"]'), "in strings"),
        (with_content(b'{"text": "in an object"}'), "in an object"),
        (with_content(b'"x", "logprobs": NaN'), "x"),
        (with_content(b'"x", "tool_calls": "none"'), "x"),
        (with_content(b"7"), "7"),
        (b"[" + with_content(b'"listed"') + b"]", "listed"),
        (b'{"choices": [{"text": "older"}], ' + USED + b"}", "older"),
        (b'{"message": {"role": "assistant", "content": "bare"}, ' + USED + b"}", "bare"),
        (b'{"error": {"code": 0}, ' + with_content(b'"fine all the same"')[1:], "fine all the same"),
    ],
)
def test_an_answer_that_was_paid_for_is_kept_if_any_reading_of_it_makes_sense(body: bytes, text: str) -> None:
    assert kept(body).text == text


def test_the_charset_of_the_answer_counts_where_it_is_not_utf_8() -> None:
    assert kept(with_content(b'"caf\xe9"'), **{"content-type": "application/json; charset=latin-1"}).text == "caf\xe9"


def test_tool_calls_that_are_nested_too_deeply_are_kept_as_text() -> None:
    call = b'"x", "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "{}"}, "more": ' + DEEP + b"}]"
    [found] = kept(with_content(call)).tool_calls
    assert json.dumps(found).count("[") >= 900


@pytest.mark.parametrize(
    "sent",
    [
        {"tool_calls": {"id": "t1", "function": {"name": "f", "arguments": {}}}},
        {"tool_calls": [{"id": "t1", "name": "f"}, "x"]},
        {"tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    ],
)
def test_tool_calls_come_in_the_form_in_which_they_can_be_sent_back(sent: dict[str, Any]) -> None:
    reply = decoded(completion(content=None, **sent))
    assert isinstance(reply, Reply)
    assert reply.tool_calls == [TOOL]


def test_an_older_function_call_is_a_tool_call() -> None:
    reply = decoded(completion(content=None, function_call={"name": "f", "arguments": "{}"}))
    assert isinstance(reply, Reply)
    assert reply.tool_calls == [{**TOOL, "id": "call_0"}]


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "well"},
        {"reasoning": "well"},
        {"content": [{"type": "thinking", "thinking": "well"}, {"type": "text", "text": "hi"}]},
        {"content": [{"type": "thinking", "thinking": "well"}, {"type": [], "text": "hi"}]},
    ],
)
def test_reasoning_comes_along_beside_the_text(message: dict[str, Any]) -> None:
    reply = decoded(completion(**message))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.reasoning) == ("hi", "well")


@pytest.mark.parametrize(
    "body",
    [
        with_content(b'"cut off')[:-3] + b", " + USED,
        b'{"choices": [], ' + USED + b"}",
        b'{"choices": [{"message": ' + DEEP + DEEP + b"}], " + USED + b"}",
        b'data: {"choices": [], ' + USED + b"}\n\ndata: [DONE]\n\n",
        b'{"error": {"message": "no"}, ' + USED + b"}",
        b'{"choices": [{"finish_reason": "error", "message": {"content": "hal"}}], ' + USED + b"}",
    ],
)
def test_the_usage_of_an_answer_that_cannot_be_kept_is_booked(body: bytes) -> None:
    failure = decode(body, {})
    assert isinstance(failure, Failure)
    assert failure.usage == Usage(5, 2)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": {"code": 429, "message": "slow"}}, FailureClass.RATE_LIMITED),
        ({"error": {"code": "429", "message": "slow"}}, FailureClass.RATE_LIMITED),
        ({"error": {"code": 401, "message": "key"}}, FailureClass.CREDENTIAL),
        ({"error": {"code": "insufficient_quota"}}, FailureClass.QUOTA_EXHAUSTED),
        ({"error": {"message": "prompt is too long"}}, FailureClass.CONTEXT_LENGTH),
        ({"error": {"message": "no"}}, FailureClass.SERVER_ERROR),
        ({"error": "no"}, FailureClass.SERVER_ERROR),
        ({"choices": [], "error": {"code": 503}}, FailureClass.OVERLOADED),
        (
            {"choices": [{"error": {"code": 502, "message": "no"}, "message": {"content": ""}}]},
            FailureClass.SERVER_ERROR,
        ),
        ({"object": "error", "message": "gone", "code": 404}, FailureClass.UNSUPPORTED),
        ({"detail": {"code": 429}}, FailureClass.RATE_LIMITED),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], FailureClass.RATE_LIMITED),
    ],
)
def test_an_error_in_an_answer_of_status_200_is_the_failure_that_it_says(document: Any, expected: FailureClass) -> None:
    failure = decoded(document)
    assert isinstance(failure, Failure)
    assert failure.failure_class is expected
    assert not failure.maybe_billed


def test_an_error_in_an_answer_keeps_its_text_and_its_wish_to_wait() -> None:
    failure = decode(b'{"error": {"code": 429, "message": "come back later"}}', {"retry-after": "7"})
    assert isinstance(failure, Failure)
    assert "come back later" in failure.message
    assert (failure.retry_after, failure.provider_code) == (7.0, "429")


def test_what_a_provider_calls_its_things_is_bounded() -> None:
    reply = decode(json.dumps({**completion(), "model": "m\x00" + "x" * 9000}).encode(), {"x-request-id": "r" * 9000})
    assert isinstance(reply, Reply)
    assert reply.model is not None
    assert reply.provider_request_id is not None
    assert "\x00" not in reply.model
    assert max(len(reply.model), len(reply.provider_request_id)) <= 200
