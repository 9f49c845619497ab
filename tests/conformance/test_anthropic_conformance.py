"""Anthropic's own client is the judge: its types of what is sent, its reading of the same bytes of what comes back."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter, ValidationError

from pipelines.providers.anthropic import AnthropicProvider
from pipelines.providers.anthropic_wire import encode
from pipelines.providers.protocol import answer_to
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request
from tests.fakes import calls, conversations
from tests.fakes.behaviors import Behavior
from tests.fakes.dialects import message
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

DEPLOYMENT = calls.deployment("anthropic")
PARAMETERS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
OPTIONS = {
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "effort": "low",
    "disable_parallel_tool_use": True,
    "metadata": {"user_id": "u-1"},
}
THOUGHTS = [
    {"type": "thinking", "thinking": "Rome, then.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "AAAA"},
]


def listed(value: Any) -> Any:
    """The value with all that is validated on the way, which pydantic does only where it is looked at."""
    if isinstance(value, Mapping):
        return {name: listed(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [listed(inner) for inner in value]
    return value


def sent(request: Request) -> Any:
    return json.loads(encode(request, DEPLOYMENT))


@pytest.mark.parametrize("options", [{}, {"anthropic": OPTIONS}])
@pytest.mark.parametrize("name", conversations.REQUESTS)
def test_what_is_sent_has_the_types_of_the_client_and_no_other_member(name: str, options: dict[str, Any]) -> None:
    body = sent(conversations.request(name, options))
    assert listed(PARAMETERS.validate_python(body)) == body


def test_thoughts_that_go_back_have_the_types_of_the_client() -> None:
    spoken = {"role": "assistant", "content": "ok", "thinking": THOUGHTS, "tool_calls": [conversations.call("a")]}
    messages = [conversations.TALK[1], spoken, conversations.result("a", [conversations.image()])]
    body = sent(Request("auto", {"messages": messages, "tools": [conversations.WEATHER]}))
    assert listed(PARAMETERS.validate_python(body)) == body
    assert body["messages"][1]["content"][:2] == THOUGHTS


def test_the_judge_sees_what_is_wrong() -> None:
    body = sent(conversations.request("plain"))
    body["messages"][0]["content"][0] |= {"text": 1}
    with pytest.raises(ValidationError):
        listed(PARAMETERS.validate_python(body))
    body = sent(conversations.request("plain")) | {"seed": 1}
    assert listed(PARAMETERS.validate_python(body)) != body


def test_what_is_sent_is_what_the_client_sends() -> None:
    request = conversations.request("talk", {"anthropic": {"effort": "low"}}, max_output_tokens=9)
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, message({"messages": []}, "model", Behavior(), 1)))
        by_us(server, request)
        by_the_client(server, **sent(request))
    ours, theirs = server.asked
    assert (ours.path, ours.json()) == (theirs.path, theirs.json())
    for name in ("anthropic-version", "content-type"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.headers["x-api-key"] == theirs.headers["authorization"].removeprefix("Bearer ")


def by_us(server: ScriptedServer, request: Request | None = None) -> Reply | Failure:
    async def scenario() -> Reply | Failure:
        deployment = calls.deployment("anthropic", base_url=f"{server.url}/v1")
        provider = AnthropicProvider(calls.credentials(deployment))
        try:
            return await answer_to(calls.call(deployment, request), provider.begin)
        finally:
            await provider.close()

    return asyncio.run(scenario())


def by_the_client(server: ScriptedServer, **body: Any) -> Message:
    asked = body or {"model": "model", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with anthropic.Anthropic(api_key=calls.KEY, base_url=server.url, max_retries=0) as client:
        return client.messages.create(**asked)


def answer(*content: dict[str, Any], stop_reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    plain = message({"messages": []}, "claude-x-1", Behavior(), 7)
    found = [{"type": "text", "text": "Salve.", "citations": None}, *content]
    return {**plain, "content": found, "stop_reason": stop_reason, "usage": {**plain["usage"], **usage}}


CALLS = [
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome", "days": [1, 2.5, None]}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]


@pytest.mark.parametrize(
    ("document", "finish_reason"),
    [
        (answer(), "stop"),
        (answer(stop_reason="stop_sequence"), "stop"),
        (answer(stop_reason="max_tokens", input_tokens=5, output_tokens=3), "length"),
        (answer(*CALLS, stop_reason="tool_use"), "tool_calls"),
        (answer(*THOUGHTS, CALLS[0], stop_reason="tool_use"), "tool_calls"),
        (answer(stop_reason="pause_turn"), "pause_turn"),
        (answer(stop_reason="of_tomorrow"), "of_tomorrow"),
        (answer(input_tokens=4, cache_read_input_tokens=100, cache_creation_input_tokens=20, output_tokens=8), "stop"),
        (answer(input_tokens=4, output_tokens=8, output_tokens_details={"thinking_tokens": 5}), "stop"),
        (answer({"type": "of_tomorrow", "x": 1}), "stop"),
    ],
)
def test_answers_are_read_as_the_client_reads_them(document: dict[str, Any], finish_reason: str) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        reply, theirs = by_us(server), by_the_client(server)
    assert isinstance(reply, Reply)
    blocks = [block.to_dict() for block in theirs.content]
    assert reply.text == "".join(str(block["text"]) for block in blocks if block["type"] == "text")
    assert reply.reasoning == ("".join(str(block.get("thinking", "")) for block in blocks) or None)
    assert [_without_place(thought) for thought in reply.thinking] == [b for b in blocks if "think" in str(b["type"])]
    assert [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in reply.tool_calls] == [
        (block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    assert (reply.model, reply.provider_request_id, reply.finish_reason) == (theirs.model, theirs.id, finish_reason)
    usage = theirs.usage
    assert reply.usage is not None
    assert reply.usage.cached == (usage.cache_read_input_tokens or 0)
    assert reply.usage.cache_write == (usage.cache_creation_input_tokens or 0)
    assert reply.usage.input == usage.input_tokens + reply.usage.cached + reply.usage.cache_write
    assert reply.usage.output == usage.output_tokens
    details = usage.output_tokens_details
    assert reply.usage.reasoning == (0 if details is None else details.thinking_tokens)


def _without_place(thought: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thought.items() if name != "before_call"}
