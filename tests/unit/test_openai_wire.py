import json
from typing import Any

import orjson
import pytest

from pipelines.providers.openai_wire import check_options, decode, encode, read_usage
from pipelines.providers.table import check_provider_options
from synthralos.catalog import load_catalog
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage
from tests.fakes import calls

DEPLOYMENT = calls.deployment(upstream_model="gpt-x")


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi", **message}, "finish_reason": "stop"}
    return {"id": "c1", "model": "gpt-x-1", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


def decoded(document: Any) -> Reply | Failure:
    return decode(json.dumps(document).encode(), "req_1")


def test_a_request_goes_over_with_all_its_parameters_and_no_others() -> None:
    parameters = {
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
    }
    request = calls.request("hello", max_output_tokens=9, unknown=1, **parameters)
    sent = json.loads(encode(request, DEPLOYMENT, "max_tokens"))
    assert sent == {"model": "gpt-x", "messages": request.messages, "max_tokens": 9, **parameters}


def test_the_provider_options_of_this_provider_alone_go_over() -> None:
    options = {"openai": {"reasoning_effort": "low"}, "google": {"x": 1}}
    sent = json.loads(encode(calls.request(provider_options=options), DEPLOYMENT, "max_tokens"))
    assert sent["reasoning_effort"] == "low"
    assert "x" not in sent


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n", "max_tokens", "service_tier"])
def test_options_that_would_falsify_the_books_are_refused(name: str) -> None:
    assert [field for field, _ in check_options({name: 1, "reasoning_effort": "low"})] == [name]


def test_options_are_checked_by_the_provider_that_they_are_for() -> None:
    options: dict[str, Any] = {"openai": {"n": 2}, "sandbox": {"text": 1}, "nobody": {}, "google": {"thinking": 1}}
    fields = [field for field, _ in check_provider_options(options, load_catalog(None))]
    assert fields == ["openai.n", "sandbox.text", "nobody"]


def test_what_json_cannot_hold_is_not_sent() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        encode(calls.request("\ud800"), DEPLOYMENT, "max_tokens")


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
        {"error": {"message": "x"}},
        completion(content=["x"]),
        completion(tool_calls="x"),
        completion(tool_calls=["x"]),
    ],
)
def test_an_answer_that_is_no_completion_may_have_been_billed(document: Any) -> None:
    failure = decoded(document)
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.AMBIGUOUS


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 20,
                "total_tokens": 70,
                "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
            Usage(50, 20, cached=30, reasoning=15, cache_write=10),
        ),
        # The Gemini API and xAI leave reasoning out of completion_tokens, but not out of the total.
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 107}, Usage(5, 102, reasoning=100)),
        (None, None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}}, None),
    ],
)
def test_usage_is_read_or_unknown_but_never_guessed(usage: Any, expected: Usage | None) -> None:
    assert read_usage(usage) == expected
