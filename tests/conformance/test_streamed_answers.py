"""Streamed answers of every protocol: the official clients judge what they mean, and every way to break is tried."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from pipelines.execute.stage import attempt_end
from pipelines.providers.anthropic import AnthropicProvider
from pipelines.providers.google import GoogleProvider
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import answer_to
from synthralos.domain.attempts import Billed, Reply
from synthralos.domain.deltas import Delta, merged_tools
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage
from tests.fakes import calls, streams
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.stream_server import Script, Streamed, stream_server, whole

PROVIDERS: Mapping[str, Any] = {"anthropic": AnthropicProvider, "google": GoogleProvider, "openai": OpenAIProvider}
SHAPES: Mapping[str, Mapping[str, list[Any]]] = {
    "anthropic": streams.ANTHROPIC,
    "google": streams.GOOGLE,
    "openai": streams.OPENAI,
}
CASES = [(name, shape) for name, shapes in sorted(SHAPES.items()) for shape in sorted(shapes)]
EVENT_STREAM = {"Content-Type": "text/event-stream"}


@dataclass
class Heard:
    """What a call told while it ran, and how it ended."""

    end: Reply | Failure | None = None
    deltas: list[Delta] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def reply(self) -> Reply:
        assert isinstance(self.end, Reply), self.end
        return self.end

    @property
    def failure(self) -> Failure:
        assert isinstance(self.end, Failure), self.end
        return self.end

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.reasoning for delta in self.deltas)


def streamed(name: str, script: Script, timeout: float = 30.0, **options: Any) -> Heard:
    """Make one call of a provider at a server that does as the script says."""

    async def scenario() -> Heard:
        heard = Heard()
        async with stream_server(script) as (url, seen):
            deployment = calls.deployment(name, base_url=url, options=options)
            provider = PROVIDERS[name](calls.credentials(deployment))
            call = calls.call(deployment, timeout=timeout)
            call.on_delta = heard.deltas.append
            try:
                heard.end = await answer_to(call, provider.begin)
            finally:
                await provider.close()
            heard.bodies = [json.loads(one.body) for one in seen]
            heard.paths = [one.path for one in seen]
        return heard

    return asyncio.run(scenario())


def written(name: str, shape: str, end: str = "\n") -> bytes:
    return streams.sse(SHAPES[name][shape], named=name == "anthropic", end=end)


def in_pieces(whole_text: bytes, seed: int) -> Iterator[bytes]:
    rng, place = random.Random(seed), 0
    while place < len(whole_text):
        size = rng.choice((1, 2, 3, 7, 50, 400))
        yield whole_text[place : place + size]
        place += size


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
        "anthropic": Usage(20, 31, cached=5, cache_write=3),
        "google": Usage(8, 10, cached=2, reasoning=4),
        "openai": Usage(17, 9, cached=4, reasoning=3),
    }


def test_what_is_asked_is_a_stream_with_its_usage() -> None:
    asked = streamed("openai", whole(written("openai", "text"))).bodies[0]
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in streamed("openai", whole(written("openai", "text")), stream_usage=False).bodies[0]
    assert streamed("anthropic", whole(written("anthropic", "text"))).bodies[0]["stream"] is True
    [path] = streamed("google", whole(written("google", "text"))).paths
    assert path.endswith("/models/model:streamGenerateContent?alt=sse")


async def _hang(call: Streamed) -> None:
    await call.gone.wait()


def cut_after(name: str, events: int, then: Callable[[Streamed], Awaitable[None]]) -> Script:
    async def script(call: Streamed) -> None:
        await call.head()
        begun = SHAPES[name]["text"][:events]
        await call.send(streams.sse(begun, named=name == "anthropic"))
        await then(call)

    return script


async def _cut(call: Streamed) -> None:
    call.cut()


async def _end_too_early(call: Streamed) -> None:
    await call.end()


BEGUN = {"anthropic": 4, "google": 2, "openai": 3}
"""Events until a delta was told, and the answer's end was not."""


@pytest.mark.parametrize("then", [_cut, _end_too_early, _hang])
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_cut_stream_may_be_billed_and_what_was_said_is_counted(
    name: str, then: Callable[[Streamed], Awaitable[None]]
) -> None:
    heard = streamed(name, cut_after(name, BEGUN[name], then), idle_seconds=0.2)
    assert heard.text.startswith("Sal")
    assert heard.failure.failure_class in (FailureClass.AMBIGUOUS, FailureClass.TIMEOUT)
    assert heard.failure.estimated
    assert heard.failure.usage is not None
    assert heard.failure.usage.input > 0
    assert 0 < heard.failure.usage.output < 10
    end = attempt_end(1, calls.deployment(name), heard.failure, 1.0)
    assert (end.billed, end.cost) == (Billed.MAYBE, None)
    assert end.usage == heard.failure.usage


ERRORS: Mapping[str, dict[str, Any]] = {
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "google": {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}},
    "openai": {"error": {"type": "server_error", "code": "503", "message": "overloaded"}},
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_error_in_the_middle_ends_the_call_with_its_class(name: str) -> None:
    async def then(call: Streamed) -> None:
        await call.send(streams.sse([ERRORS[name]], named=name == "anthropic"))
        await call.gone.wait()

    failure = streamed(name, cut_after(name, BEGUN[name], then)).failure
    assert failure.failure_class in (FailureClass.OVERLOADED, FailureClass.SERVER_ERROR)
    assert failure.estimated


def test_a_stream_that_says_nothing_is_left_after_the_first_tokens_time() -> None:
    async def pings(call: Streamed) -> None:
        await call.head()
        await call.send(b": still here\n\n", streams.sse([{"type": "ping"}], named=True))
        await call.gone.wait()

    heard = streamed("anthropic", pings, first_token_seconds=0.2)
    assert heard.failure.failure_class is FailureClass.TIMEOUT
    assert "no token within 0.2 s" in heard.failure.message
    assert heard.failure.usage is None


def test_a_stream_without_end_is_left_after_the_calls_time() -> None:
    async def endless(call: Streamed) -> None:
        await call.head()
        while not call.gone.is_set():
            await call.send(streams.sse([streams.chunk({"content": "again "})]))
            await asyncio.sleep(0)

    heard = streamed("openai", endless, timeout=0.4)
    assert heard.failure.failure_class in (FailureClass.TIMEOUT, FailureClass.AMBIGUOUS)
    assert heard.failure.estimated


def test_a_connection_that_goes_on_after_the_last_word_holds_up_nothing() -> None:
    async def lingering(call: Streamed) -> None:
        await call.head()
        await call.send(written("openai", "text"))
        await call.gone.wait()

    assert streamed("openai", lingering).reply.finish_reason == "stop"


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_event_that_is_no_json_ends_the_call_as_ambiguous(name: str) -> None:
    async def then(call: Streamed) -> None:
        await call.send(b"data: {\n\n")
        await call.gone.wait()

    assert streamed(name, cut_after(name, BEGUN[name], then)).failure.failure_class is FailureClass.AMBIGUOUS


def test_a_server_that_streams_nothing_gives_one_delta() -> None:
    message = {"role": "assistant", "content": "Salve."}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": streams.OPENAI_USAGE}
    body = json.dumps(document).encode()

    async def plain(call: Streamed) -> None:
        call.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    asked: list[dict[str, Any]] = [{}, {"stream": False}]
    for options in asked:
        heard = streamed("openai", plain, **options)
        assert (heard.text, heard.reply.text) == ("Salve.", "Salve.")
        assert ("stream" in heard.bodies[0]) is options.get("stream", True)


def test_a_refusal_before_the_stream_keeps_its_class() -> None:
    async def refused(call: Streamed) -> None:
        call.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}")

    heard = streamed("openai", refused)
    assert (heard.failure.failure_class, heard.failure.retry_after) == (FailureClass.RATE_LIMITED, 7)
    assert not heard.deltas


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_cancelling_closes_the_connection(name: str) -> None:
    async def scenario() -> None:
        begun = asyncio.Event()
        async with stream_server(cut_after(name, BEGUN[name], _hang)) as (url, seen):
            deployment = calls.deployment(name, base_url=url)
            provider = PROVIDERS[name](calls.credentials(deployment))
            call = calls.call(deployment)
            call.on_delta = lambda delta: begun.set()
            cancel = provider.begin(call, lambda answer: pytest.fail(f"it ended: {answer}"))
            await begun.wait()
            cancel()
            await seen[0].gone.wait()
            await provider.close()

    asyncio.run(scenario())
