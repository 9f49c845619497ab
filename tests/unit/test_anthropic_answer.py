import json
from typing import Any

import pytest

from pipelines.providers.anthropic_answer import decode
from pipelines.providers.anthropic_usage import read_usage
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage


def message(*content: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-1",
        "content": list(content) or [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 2},
        **changes,
    }


def decoded(document: Any) -> Reply | Failure:
    return decode(json.dumps(document).encode(), {"request-id": "req_1"})


def use(identity: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "f", "input": {"a": [1]}}


def test_a_message_becomes_a_reply() -> None:
    assert decoded(message()) == Reply("hi", Usage(5, 2), "stop", "claude-x-1", [], "req_1")


def test_calls_come_in_the_form_in_which_they_can_be_sent_back() -> None:
    reply = decoded(message(use("t1"), {"type": "tool_use", "name": "g"}, stop_reason="tool_use"))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == (None, "tool_calls")
    first, second = reply.tool_calls
    assert first == {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": [1]}'}}
    assert (second["id"], second["function"]["arguments"]) == ("call_1", "{}")


def test_signed_thoughts_are_kept_with_their_place() -> None:
    first = {"type": "thinking", "thinking": "hm", "signature": "s1"}
    later = {"type": "redacted_thinking", "data": "xx"}
    unsigned = {"type": "thinking", "thinking": "…"}
    reply = decoded(message(first, {"type": "text", "text": "so"}, use("t1"), later, unsigned, use("t2")))
    assert isinstance(reply, Reply)
    assert reply.thinking == [first, {**later, "before_call": "t2"}]
    assert reply.reasoning == "hm…"


@pytest.mark.parametrize(
    "details",
    [None, {"category": "bio", "explanation": "No."}, {"category": None, "explanation": None}, {"category": 7}, "x"],
)
def test_a_refusal_is_a_filtered_answer_that_is_billed_as_reported(details: Any) -> None:
    failure = decoded(message(stop_reason="refusal", stop_details=details))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.CONTENT_FILTERED
    assert failure.usage == Usage(5, 2)


def test_an_answer_without_content_is_an_empty_one() -> None:
    reply = decoded(message() | {"content": []})
    assert isinstance(reply, Reply)
    assert (reply.text, reply.usage) == ("", Usage(5, 2))


@pytest.mark.parametrize("document", [None, [], "x", {}, {"content": None}, {"content": {"a": 1}}, {"type": "message"}])
def test_an_answer_that_is_no_message_may_have_been_billed(document: Any) -> None:
    failure = decoded(document)
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.AMBIGUOUS


def test_what_is_no_json_is_billed_as_far_as_it_says() -> None:
    failure = decode(b'{"content": [{"text": "hi, "usage": {"input_tokens": 5, "output_tokens": 2}}', {})
    assert isinstance(failure, Failure)
    assert (failure.failure_class, failure.usage) == (FailureClass.AMBIGUOUS, Usage(5, 2))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("overloaded_error", FailureClass.OVERLOADED), ("rate_limit_error", FailureClass.RATE_LIMITED),
     ("of_tomorrow", FailureClass.SERVER_ERROR)],
)  # fmt: skip
def test_an_error_with_status_200_counts_as_what_it_is(kind: str, expected: FailureClass) -> None:
    failure = decoded({"type": "error", "error": {"type": kind, "message": "no"}})
    assert isinstance(failure, Failure)
    assert failure.failure_class is expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"input_tokens": 0, "output_tokens": 0}, Usage(0, 0)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
         Usage(125, 2, cached=100, cache_write=20)),
        ({"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
         Usage(5, 9, reasoning=7)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": None, "cache_creation": None}, Usage(5, 2)),
        ({"input_tokens": 5, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 7}}, None),
        ({"input_tokens": 5, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 5}}, None),
        ({"input_tokens": 5}, None),
        ({"output_tokens": 5}, None),
        ({"input_tokens": -1, "output_tokens": 2}, None),
        ({"input_tokens": 2**70, "output_tokens": 2}, None),
        ({"input_tokens": 1.5, "output_tokens": 2}, None),
        ({"input_tokens": True, "output_tokens": 2}, None),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": -3}, None),
        ({}, None),
        (None, None),
        ([5, 2], None),
    ],
)  # fmt: skip
def test_tokens_are_known_or_unknown_and_never_0_for_unknown(usage: Any, expected: Usage | None) -> None:
    assert read_usage(usage) == expected
