"""Streamed answers of every protocol: the official clients judge what they mean."""

import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from synthralos.domain.deltas import merged_tools
from synthralos.domain.money import Usage
from tests.fakes import calls
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.stream_server import whole
from tests.fakes.streamed_calls import SHAPES, in_pieces, streamed, written

CASES = [(name, shape) for name, shapes in sorted(SHAPES.items()) for shape in sorted(shapes)]
EVENT_STREAM = {"Content-Type": "text/event-stream"}


def by_openai(server: ScriptedServer) -> tuple[str | None, list[Any], str | None, int]:
    with (
        openai.OpenAI(api_key=calls.KEY, base_url=f"{server.url}/v1", max_retries=0) as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        found = stream.get_final_completion()
    [choice] = found.choices
    made = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    assert found.usage is not None
    text = choice.message.content or choice.message.refusal
    return text, made, choice.finish_reason, found.usage.completion_tokens


def by_anthropic(server: ScriptedServer) -> tuple[str | None, list[Any], str | None, int]:
    with (
        anthropic.Anthropic(api_key=calls.KEY, base_url=server.url, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        found = stream.get_final_message()
    text = "".join(block.text for block in found.content if block.type == "text")
    made = [(b.id, b.name, json.dumps(b.input, separators=(",", ":"))) for b in found.content if b.type == "tool_use"]
    return text, made, found.stop_reason, found.usage.output_tokens


def by_google(server: ScriptedServer) -> tuple[str | None, list[Any], str | None, int]:
    options = genai.types.HttpOptions(base_url=server.url, api_version="v1")
    client = genai.Client(api_key=calls.KEY, http_options=options)
    said, made, reason, used = "", [], None, 0
    for answer in client.models.generate_content_stream(model="model", contents="hi"):
        [candidate] = answer.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call is not None:
                arguments = json.dumps(part.function_call.args, separators=(",", ":"))
                made.append((part.function_call.id, part.function_call.name, arguments))
            elif not part.thought:
                said += part.text or ""
        reason = candidate.finish_reason.value if candidate.finish_reason else reason
        if answer.usage_metadata is not None:
            usage = answer.usage_metadata
            used = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return said, made, reason, used


JUDGES = {"anthropic": by_anthropic, "google": by_google, "openai": by_openai}
OUR_WORDS = {
    "end_turn": "stop", "STOP": "stop", "max_tokens": "length", "MAX_TOKENS": "length", "tool_use": "tool_calls",
}  # fmt: skip


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_assembled_answer_is_what_the_official_client_assembles(name: str, shape: str) -> None:
    body = written(name, shape)
    ours = streamed(name, whole(*in_pieces(body, 1))).reply
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, body, EVENT_STREAM))
        text, made, reason, used = JUDGES[name](server)
    assert (ours.text or "") == (text or "")
    told = [(call["id"], call["function"]["name"], _compact(call["function"]["arguments"])) for call in ours.tool_calls]
    assert [(i if t[0] is None else t[0], *t[1:]) for t, (i, *_) in zip(made, told, strict=True)] == told
    expected = OUR_WORDS.get(reason or "", reason)
    assert ours.finish_reason == ("tool_calls" if made and expected == "stop" else expected)
    assert ours.usage is not None
    assert ours.usage.output == used


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_deltas_add_up_to_the_answer_however_the_bytes_are_cut(name: str, shape: str, end: str) -> None:
    body = b"\xef\xbb\xbf: a comment\n\n" + written(name, shape, end)
    for seed in range(3):
        heard = streamed(name, whole(*in_pieces(body, seed)))
        assert heard.text == (heard.reply.text or "")
        assert heard.reasoning == (heard.reply.reasoning or "")
        tools = merged_tools(tool for delta in heard.deltas for tool in delta.tools)
        assert [(t["index"], t["name"], t["arguments"]) for t in _per_call(tools)] == [
            (n, call["function"]["name"], _compact(call["function"]["arguments"]))
            for n, call in enumerate(heard.reply.tool_calls)
        ]


def _compact(arguments: str) -> str:
    return json.dumps(json.loads(arguments or "{}"), separators=(",", ":"))


def _per_call(tools: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for tool in tools:
        call = found.setdefault(tool["index"], {"index": tool["index"], "name": "", "arguments": ""})
        call["name"] += tool["name"] or ""
        call["arguments"] += tool["arguments"]
    return [{**call, "arguments": _compact(call["arguments"])}
            for call in found.values()]  # fmt: skip


def test_the_usage_is_the_providers() -> None:
    usage = {name: streamed(name, whole(written(name, "tools"))).reply.usage for name in sorted(SHAPES)}
    assert usage == {
        "anthropic": Usage(20, 31, cached=5, cache_write=3, service_tier="standard"),
        "google": Usage(8, 10, cached=2, reasoning=4),
        "openai": Usage(17, 9, cached=4, reasoning=3, service_tier="standard"),
    }


def test_what_is_asked_is_a_stream_with_its_usage() -> None:
    asked = streamed("openai", whole(written("openai", "text"))).bodies[0]
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in streamed("openai", whole(written("openai", "text")), stream_usage=False).bodies[0]
    assert streamed("anthropic", whole(written("anthropic", "text"))).bodies[0]["stream"] is True
    [path] = streamed("google", whole(written("google", "text"))).paths
    assert path.endswith("/models/model:streamGenerateContent?alt=sse")
