"""Whatever a provider answers, it becomes a reply or a failure that can be stored, and unknown tokens are never 0."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.execute.stage import attempt_end, result_json
from pipelines.providers import (
    anthropic_answer,
    google_answer,
    google_embeddings,
    openai_answer,
    openai_embeddings,
    responses_answer,
)
from pipelines.providers.http_failures import failure_of, read_error
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage
from tests.fakes import calls
from tests.fakes.behaviors import Behavior, completion, error
from tests.fakes.dialects import anthropic_error, candidates, google_error, message

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADERS = [
    "retry-after", "retry-after-ms", "date", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset",
]  # fmt: skip
Decode = Callable[[bytes, Mapping[str, str]], Reply | Failure]

TOOL = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": [1]}'}}]
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "contents": [{}]}
BEHAVIOR = Behavior(tool_calls=TOOL)

MESSAGE = message(ASKED, "m", BEHAVIOR, 1)
MESSAGE["content"] += [
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "redacted_thinking", "data": "x"},
]
MESSAGE["stop_details"] = {"type": "refusal", "category": "bio", "explanation": "no"}
CANDIDATES = candidates(ASKED, "m", BEHAVIOR, 1)
CANDIDATES["candidates"][0]["content"]["parts"] += [
    {"text": "hm", "thought": True},
    {"text": "so", "thoughtSignature": "s"},
]
CANDIDATES["promptFeedback"] = {"blockReason": "OTHER"}

TEXTS = Request("m", {"kind": "embedding", "input": ["a", "b"]})

ANSWERS: dict[str, tuple[Decode, Any]] = {
    "openai": (openai_answer.decode, completion(ASKED, BEHAVIOR, 1)),
    "anthropic": (anthropic_answer.decode, MESSAGE),
    "google": (google_answer.decode, CANDIDATES),
    "openai responses": (
        responses_answer.decode,
        {
            "id": "resp_1",
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "model": "m",
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {
                    "type": "message",
                    "content": [{"type": "output_text", "text": "so"}, {"type": "refusal", "refusal": "x"}],
                },
                {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
            ],
            "usage": {
                "input_tokens": 9,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens": 4,
                "output_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 13,
            },
        },
    ),
    "openai embeddings": (
        partial(openai_embeddings.decode, request=TEXTS),
        {
            "object": "list",
            "data": [{"index": 0, "embedding": [0.5, 1]}, {"index": 1, "embedding": "AAAAAAAAgD8="}],
            "model": "m",
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        },
    ),
    "google embeddings": (
        partial(google_embeddings.decode, request=TEXTS, model="m"),
        {"embeddings": [{"values": [0.5, 1]}, {"values": [0.25, 2]}], "usageMetadata": {"promptTokenCount": 3}},
    ),
}
COUNTS = {
    "openai": [("usage", name) for name in ("prompt_tokens", "completion_tokens")],
    "anthropic": [("usage", name) for name in ("input_tokens", "output_tokens")],
    "openai embeddings": [("usage", "prompt_tokens")],
    "openai responses": [("usage", name) for name in ("input_tokens", "output_tokens", "total_tokens")],
    "google embeddings": [("usageMetadata", "promptTokenCount")],
    "google": [("usageMetadata", name) for name in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")],
}
WORDS = [
    "", "text", "thinking", "redacted_thinking", "tool_use", "error", "refusal", "SAFETY", "STOP",
    "MALFORMED_FUNCTION_CALL", "stop", "content_filter", "\ud800", "1", "5.0",
]  # fmt: skip
NAMES = ["type", "text", "error", "content", "parts", "functionCall", "usage", "code", "status", "message", "id", "x"]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every member, however deep."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """The document with anything in place of up to three of its members."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        members = list(places(found))
        if members:
            container, key = draw(st.sampled_from(members))
            container[key] = draw(values)
    return found


def check(end: Reply | Failure) -> None:
    deployment = calls.deployment()
    if isinstance(end, Reply):
        assert orjson.loads(orjson.dumps(result_json(deployment, end)))["text"] == end.text
    else:
        assert Failure.from_json(orjson.loads(orjson.dumps(end.to_json()))) == end
    booked = attempt_end(1, deployment, end, 0.0)
    usage = end.usage
    assert usage is None or isinstance(usage, Usage)
    if isinstance(end, Reply):
        # A tier that the catalog has no price for, and an hour in the cache, are not guessed at.
        listed = usage is not None and usage.service_tier in (None, "standard") and not usage.cache_write_1h
        assert (booked.cost is not None) == listed


@pytest.mark.parametrize("name", ANSWERS)
@given(data=st.data())
def test_any_answer_becomes_a_reply_or_a_failure_that_can_be_stored(name: str, data: st.DataObject) -> None:
    decode, document = ANSWERS[name]
    check(decode(json.dumps(data.draw(spoiled(document))).encode(), {}))


@pytest.mark.parametrize("name", ANSWERS)
@given(cut=st.integers(0, 2000), junk=st.binary(max_size=20))
def test_any_bytes_become_a_reply_or_a_failure_that_can_be_stored(name: str, cut: int, junk: bytes) -> None:
    decode, document = ANSWERS[name]
    whole = json.dumps(document).encode()
    check(decode(whole[:cut] + junk + whole[cut + len(junk) :], {"content-type": "application/json"}))


@pytest.mark.parametrize("name", ANSWERS)
@given(data=st.data())
def test_a_count_that_is_missing_or_cannot_be_makes_the_cost_unknown(name: str, data: st.DataObject) -> None:
    decode, document = ANSWERS[name]
    outer, inner = data.draw(st.sampled_from(COUNTS[name]))
    found = copy.deepcopy(document)
    found.pop("promptFeedback", None)
    wrong = st.integers(max_value=-1) | st.integers(min_value=2**63) | st.just(1.5) | st.sampled_from(["x", True, -0.5])
    found[outer][inner] = data.draw(wrong)
    end = decode(json.dumps(found).encode(), {})
    assert isinstance(end, Reply)
    assert end.usage is None
    assert attempt_end(1, calls.deployment(), end, 0.0).cost is None


@pytest.mark.parametrize("body", [error("no", "x", "y"), anthropic_error("no", 429), google_error("no", 429, {"a": 1})])
@given(data=st.data())
def test_any_error_becomes_a_failure_that_can_be_stored(body: Any, data: st.DataObject) -> None:
    status = data.draw(st.integers(400, 599))
    headers = data.draw(st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=12) | st.just("0"), max_size=3))
    found = json.dumps(data.draw(spoiled({**body, "id": new_id()}))).encode()
    failure = failure_of(status, headers, read_error(found), NOW)
    assert Failure.from_json(orjson.loads(orjson.dumps(failure.to_json()))) == failure
    assert failure.retry_after is None or failure.retry_after >= 0
