"""Streams that break, in every way in which they do, and what is then on the books."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from pipelines.execute.stage import attempt_end
from synthralos.domain.attempts import Billed
from synthralos.domain.failures import FailureClass
from tests.fakes import calls, streams
from tests.fakes.stream_server import Script, Streamed, stream_server
from tests.fakes.streamed_calls import PROVIDERS, SHAPES, streamed, written


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
