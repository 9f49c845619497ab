"""The OpenAI adapter against a server that shows what it was sent, and one that misbehaves below HTTP."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import answer_to
from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import Limits
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass
from tests.fakes import calls, openai_server
from tests.fakes.behaviors import Behavior, completion

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ASKED = {"model": "model", "messages": [{"role": "user", "content": "hi"}]}


@asynccontextmanager
async def http_server(handler: Handler) -> AsyncIterator[Deployment]:
    application = web.Application(client_max_size=8 * 1024 * 1024)
    application.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield calls.deployment(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    await runner.cleanup()


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[Deployment]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield calls.deployment(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    server.close()
    await server.wait_closed()


async def called(deployment: Deployment, key: str = calls.KEY, **options: Any) -> Reply | Failure:
    provider = OpenAIProvider(calls.credentials(deployment, key=key), **options)
    try:
        return await answer_to(calls.call(deployment), provider.begin)
    finally:
        await provider.close()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_a_call_carries_the_key_its_own_identity_and_the_trace() -> None:
    async def scenario() -> None:
        seen: dict[str, str] = {}

        async def handler(request: web.Request) -> web.Response:
            seen.update({name.lower(): value for name, value in request.headers.items()})
            return web.json_response(completion(await request.json(), Behavior(), 1))

        async with http_server(handler) as deployment:
            provider = OpenAIProvider(calls.credentials(deployment))
            call = calls.call(deployment, attempt_no=3)
            assert isinstance(await answer_to(call, provider.begin), Reply)
            await provider.close()
        assert seen["authorization"] == f"Bearer {calls.KEY}"
        assert seen["traceparent"] == calls.TRACEPARENT
        assert seen["x-request-id"] == call.job_id
        assert seen["idempotency-key"] == seen["x-client-request-id"] == f"{call.job_id}/3"
        assert seen["content-type"] == "application/json"

    run(scenario)


@pytest.mark.parametrize(
    ("options", "field"),
    [({}, "max_tokens"), ({"max_tokens_field": "max_completion_tokens"}, "max_completion_tokens")],
)
def test_the_limit_on_the_answer_goes_under_the_name_that_the_server_knows(options: dict[str, Any], field: str) -> None:
    async def scenario() -> None:
        sent: dict[str, Any] = {}

        async def handler(request: web.Request) -> web.Response:
            sent.update(await request.json())
            return web.json_response(completion(sent, Behavior(), 1))

        async with http_server(handler) as plain:
            deployment = calls.deployment(base_url=plain.base_url, options=options)
            provider = OpenAIProvider(calls.credentials(deployment))
            await answer_to(calls.call(deployment, calls.request(max_output_tokens=5)), provider.begin)
            await provider.close()
        assert sent[field] == 5

    run(scenario)


def test_a_prompt_of_megabytes_arrives_whole() -> None:
    async def scenario() -> None:
        async with openai_server.running() as url:
            deployment = calls.deployment(base_url=f"{url}/v1")
            provider = OpenAIProvider(calls.credentials(deployment))
            reply = await answer_to(calls.call(deployment, calls.request("x" * 4_000_000)), provider.begin)
            await provider.close()
        assert isinstance(reply, Reply)
        assert reply.usage is not None
        assert reply.usage.input > 1_000_000

    run(scenario)


def test_an_answer_beyond_the_limit_is_not_read_to_the_end() -> None:
    async def scenario() -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.json_response(completion(ASKED, Behavior(text="x" * 200_000), 1))

        async with http_server(handler) as deployment:
            failure = await called(deployment, client=Client(Limits(answer=100_000)))
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.AMBIGUOUS

    run(scenario)


@pytest.mark.parametrize("answer", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_connection_that_breaks_after_sending_may_have_been_billed(answer: bytes) -> None:
    async def scenario() -> None:
        async with raw_server(answer) as deployment:
            failure = await called(deployment)
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.AMBIGUOUS
        assert failure.maybe_billed

    run(scenario)


def test_an_error_whose_body_breaks_off_counts_by_its_status() -> None:
    async def scenario() -> None:
        async with raw_server(b"HTTP/1.1 429 No\r\nContent-Length: 99\r\nRetry-After: 4\r\n\r\n{") as deployment:
            failure = await called(deployment)
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.RATE_LIMITED
        assert failure.retry_after == 4.0

    run(scenario)


def test_a_redirect_is_not_followed_with_the_key() -> None:
    async def scenario() -> None:
        followed: list[str] = []

        async def elsewhere(request: web.Request) -> web.Response:
            followed.append(request.path)
            return web.Response()

        async with http_server(elsewhere) as other:

            async def redirect(_: web.Request) -> web.Response:
                return web.Response(status=307, headers={"Location": f"{other.base_url}/chat/completions"})

            async with http_server(redirect) as deployment:
                assert isinstance(await called(deployment), Failure)
        assert followed == []

    run(scenario)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_failure_never_repeats_the_key(status: int) -> None:
    async def scenario() -> None:
        async def handler(request: web.Request) -> web.Response:
            text = f"{'x' * 490} wrong key: {request.headers['Authorization']}"
            return web.json_response({"error": {"message": text, "code": calls.KEY}}, status=status)

        async with http_server(handler) as deployment:
            failure = await called(deployment)
        assert calls.KEY[:8] not in repr(failure)

    run(scenario)


def test_without_its_key_a_deployment_is_not_called() -> None:
    async def scenario() -> None:
        failure = await called(calls.deployment(base_url="http://127.0.0.1:9/v1"), key="")
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.CREDENTIAL
        assert calls.KEY_VARIABLE in failure.message

    run(scenario)


def test_a_slow_trickle_of_an_answer_ends_at_the_timeout() -> None:
    async def scenario() -> None:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"{")
            await asyncio.Event().wait()
            return response

        async with http_server(handler) as deployment:
            provider = OpenAIProvider(calls.credentials(deployment))
            failure = await answer_to(calls.call(deployment, timeout=0.2), provider.begin)
            await provider.close()
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.TIMEOUT

    run(scenario)


def test_a_connection_that_is_never_made_cannot_have_been_billed() -> None:
    async def scenario() -> None:
        given_up = asyncio.Event()

        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            await writer.wait_closed()
            given_up.set()

        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        deployment = calls.deployment(base_url=f"https://127.0.0.1:{port}/v1")
        provider = OpenAIProvider(calls.credentials(deployment))
        failure = await answer_to(calls.call(deployment, timeout=0.4), provider.begin)
        await provider.close()
        await given_up.wait()
        server.close()
        await server.wait_closed()
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.CONNECTION
        assert not failure.maybe_billed

    run(scenario)


def test_an_error_under_status_200_never_repeats_the_key() -> None:
    async def scenario() -> None:
        async def handler(request: web.Request) -> web.Response:
            text = f"{'x' * 490} wrong key: {request.headers['Authorization']}"
            return web.json_response({"error": {"message": text, "code": calls.KEY}})

        async with http_server(handler) as deployment:
            failure = await called(deployment)
        assert isinstance(failure, Failure)
        assert calls.KEY[:8] not in repr(failure)

    run(scenario)


@pytest.mark.parametrize(
    "fields",
    [
        b"Retry-After: Fri, 31 Dec 99999999999999999999 23:59:59 GMT\r\n",
        b"Retry-After: Fri, 31 Dec 2027 23:59:59 +99999999999999\r\n",
        b"Retry-After: \xff\xfe\r\nDate: \xff\r\n",
        b"x-request-id: \xff" + b"x" * 30_000 + b"\r\n",
        b"Content-Type: application/json; charset=no-such-thing\r\n",
    ],
)
@pytest.mark.parametrize("status", [200, 429])
def test_headers_that_make_no_sense_are_no_bug_of_ours(
    fields: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        body = b'{"choices": [{"message": {"content": "caf\xe9"}}]}'
        answer = b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)
        async with raw_server(answer) as deployment:
            answered = await called(deployment)
        if status == 200:
            assert isinstance(answered, Reply)
        else:
            assert isinstance(answered, Failure)
            assert answered.failure_class is FailureClass.RATE_LIMITED
        assert not caplog.records

    run(scenario)


@pytest.mark.parametrize("ending", [b"", b"trailing"])
def test_a_compressed_answer_without_its_proper_end_is_read_as_far_as_it_goes(ending: bytes) -> None:
    async def scenario() -> None:
        whole = gzip.compress(json.dumps(completion(ASKED, Behavior(text="squeezed"), 1)).encode())
        body = whole + ending if ending else whole[:-8]
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        async with raw_server(head + body) as deployment:
            reply = await called(deployment)
        assert isinstance(reply, Reply)
        assert reply.text == "squeezed"

    run(scenario)


def test_an_encoding_that_cannot_be_read_is_told_as_such_and_may_have_been_billed() -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\n\x0b\x02\x80\x03"
        async with raw_server(head) as deployment:
            failure = await called(deployment)
        assert isinstance(failure, Failure)
        assert failure.maybe_billed
        assert "br" in failure.message

    run(scenario)
