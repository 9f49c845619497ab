import json
from typing import Any

import pytest

from pipelines.providers.google_answer import decode
from pipelines.providers.google_usage import read_usage
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage

USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}


def answer(*parts: Any, reason: str | None = "STOP", **changes: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts) or [{"text": "hi"}], "role": "model"}, "finishReason": reason}
    return {
        "candidates": [candidate],
        "modelVersion": "gemini-x-1",
        "responseId": "r1",
        "usageMetadata": USAGE,
        **changes,
    }


def decoded(document: Any) -> Reply | Failure:
    return decode(json.dumps(document).encode(), {})


def failed(document: Any) -> Failure:
    failure = decoded(document)
    assert isinstance(failure, Failure)
    return failure


def test_a_candidate_becomes_a_reply() -> None:
    assert decoded(answer()) == Reply("hi", Usage(5, 2), "stop", "gemini-x-1", [], "r1")
    assert decoded([answer()]) == decoded(answer())


def test_calls_have_an_id_of_their_own_and_their_signature() -> None:
    parts = [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}, {"functionCall": {"id": "x"}}]
    reply = decoded(answer(*parts))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == (None, "tool_calls")
    first, second = reply.tool_calls
    assert first["id"] == "call_r1_0"
    assert first["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert first["extra_content"] == {"google": {"thought_signature": "s"}}
    assert second == {"id": "x", "type": "function", "function": {"name": "", "arguments": "{}"}}
    other = decoded(answer(*parts, responseId="r2"))
    assert isinstance(other, Reply)
    assert other.tool_calls[0]["id"] != first["id"]


def test_thoughts_are_no_part_of_the_answer_and_its_signature_is_kept() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "Sal"}, {"text": "ve", "thoughtSignature": "s"}]
    reply = decoded(answer(*parts))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.reasoning) == ("Salve", "hm")
    assert reply.thinking == [{"type": "thought_signature", "signature": "s"}]


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "LANGUAGE", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST"])
def test_a_withheld_answer_is_billed_as_reported(reason: str) -> None:
    document = answer(reason=reason)
    del document["candidates"][0]["content"]
    failure = failed(document)
    assert (failure.failure_class, failure.usage) == (FailureClass.CONTENT_FILTERED, Usage(5, 2))


@pytest.mark.parametrize("reason", ["SAFETY", "OF_TOMORROW"])
def test_a_blocked_prompt_is_billed_as_reported(reason: str) -> None:
    usage = {"promptTokenCount": 5, "totalTokenCount": 5}
    failure = failed({"promptFeedback": {"blockReason": reason}, "usageMetadata": usage})
    assert (failure.failure_class, failure.usage) == (FailureClass.CONTENT_FILTERED, Usage(5, 0))
    assert failed({"promptFeedback": {"blockReason": reason}}).usage is None


@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"]
)
def test_a_spoiled_answer_is_a_failure_only_where_nothing_came(reason: str) -> None:
    empty = answer(reason=reason)
    empty["candidates"][0] |= {"content": {}, "finishMessage": "Malformed function call: f("}
    failure = failed(empty)
    assert (failure.failure_class, failure.usage) == (FailureClass.SCHEMA_MISMATCH, Usage(5, 2))
    assert isinstance(decoded(answer(reason=reason)), Reply)


@pytest.mark.parametrize(("reason", "finish"), [("MAX_TOKENS", "length"), ("OF_TOMORROW", "OF_TOMORROW"), (None, None)])
def test_reasons_that_are_not_known_are_kept(reason: str | None, finish: str | None) -> None:
    document = answer(reason=reason)
    document["candidates"][0]["content"] = {"role": "model"}
    reply = decoded(document)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == ("", finish)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"candidates": []}, {"candidates": [None]}, {"candidates": 7}])
def test_an_answer_without_candidates_may_have_been_billed(document: Any) -> None:
    assert failed(document).failure_class is FailureClass.AMBIGUOUS


def test_what_is_no_json_is_billed_as_far_as_it_says() -> None:
    failure = decode(b'{"candidates": [oops, "usageMetadata": ' + json.dumps(USAGE).encode(), {})
    assert isinstance(failure, Failure)
    assert (failure.failure_class, failure.usage) == (FailureClass.AMBIGUOUS, Usage(5, 2))


def test_an_error_with_status_200_counts_as_what_it_is() -> None:
    error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
    assert failed([{"error": error}]).failure_class is FailureClass.OVERLOADED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Usage(5, 2)),
        ({"thoughtsTokenCount": 9, "totalTokenCount": 16}, Usage(5, 11, reasoning=9)),
        ({"toolUsePromptTokenCount": 4, "totalTokenCount": 11}, Usage(9, 2)),
        ({"cachedContentTokenCount": 3}, Usage(5, 2, cached=3)),
        ({"totalTokenCount": None}, Usage(5, 2)),
        ({"candidatesTokenCount": None, "thoughtsTokenCount": 2}, Usage(5, 2, reasoning=2)),
        ({"candidatesTokenCount": None, "totalTokenCount": 5}, Usage(5, 0)),
        ({"candidatesTokenCount": None}, None),
        ({"candidatesTokenCount": None, "totalTokenCount": None}, None),
        ({"thoughtsTokenCount": 9}, None),
        ({"promptTokenCount": None}, None),
        ({"promptTokenCount": -5}, None),
        ({"totalTokenCount": 2**70}, None),
        ({"cachedContentTokenCount": 6}, None),
        ({"thoughtsTokenCount": "many"}, None),
    ],
)
def test_tokens_are_known_or_unknown_and_never_0_for_unknown(changes: dict[str, Any], expected: Usage | None) -> None:
    assert read_usage({**USAGE, **changes}) == expected


@pytest.mark.parametrize("usage", [None, {}, [], 7])
def test_without_usage_nothing_is_known(usage: Any) -> None:
    assert read_usage(usage) is None
