"""The OpenAI SDK's Azure client is the judge: of paths, query, headers and bodies, and of how answers are read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from pipelines.providers.openai import OpenAIProvider, check_deployment
from pipelines.providers.protocol import answer_to
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Capability, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request
from tests.fakes import calls
from tests.fakes.behaviors import Behavior, completion
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

VERSION = "2024-10-21"
NAME = "my deployment"
CHAT = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "max_completion_tokens": 9}
VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
    "model": "m",
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


def deployment_at(server: ScriptedServer, version: str = VERSION, **more: Any) -> Deployment:
    return calls.deployment(base_url=server.url, upstream_model=NAME, options={"azure_api_version": version}, **more)


def by_us(deployment: Deployment, request: Request | None = None) -> Reply | Failure:
    async def scenario() -> Reply | Failure:
        provider = OpenAIProvider(calls.credentials(deployment))
        try:
            return await answer_to(calls.call(deployment, request), provider.begin)
        finally:
            await provider.close()

    return asyncio.run(scenario())


def by_azure(server: ScriptedServer, ask: Callable[[openai.AsyncAzureOpenAI], Awaitable[Any]]) -> Any:
    async def scenario() -> Any:
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=server.url, api_version=VERSION, api_key=calls.KEY, max_retries=0
        ) as client:
            return await ask(client)

    return asyncio.run(scenario())


def by_openai(server: ScriptedServer, ask: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
    async def scenario() -> Any:
        headers = {"api-key": calls.KEY}
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/openai/v1/", api_key=calls.KEY, default_headers=headers, max_retries=0
        ) as client:
            return await ask(client)

    return asyncio.run(scenario())


@pytest.mark.parametrize("version", [VERSION, "v1"])
def test_a_chat_is_sent_as_the_client_sends_it(version: str) -> None:
    async def ask(client: openai.AsyncOpenAI) -> Any:
        return await client.chat.completions.create(model=NAME, **CHAT)  # type: ignore[call-overload]

    with scripted_server() as server:
        server.answer_in_turn(Answer(200, completion({"model": NAME, **CHAT}, Behavior(), 1)))
        reply = by_us(deployment_at(server, version), calls.request("hi", temperature=0.5, max_output_tokens=9))
        theirs = by_azure(server, ask) if version == VERSION else by_openai(server, ask)
    ours, sent = server.asked
    assert (ours.path, ours.query, ours.json()) == (sent.path, sent.query, sent.json())
    assert ours.headers["api-key"] == sent.headers["api-key"] == calls.KEY
    assert "authorization" not in ours.headers
    assert isinstance(reply, Reply)
    assert reply.text == theirs.choices[0].message.content


def test_embeddings_are_sent_as_the_client_sends_them() -> None:
    async def ask(client: openai.AsyncAzureOpenAI) -> Any:
        return await client.embeddings.create(model=NAME, input="hi")

    with scripted_server() as server:
        server.answer_in_turn(Answer(200, VECTORS))
        makes = frozenset({Capability.EMBEDDINGS})
        reply = by_us(deployment_at(server, capabilities=makes), Request("m", {"kind": "embedding", "input": "hi"}))
        by_azure(server, ask)
    ours, sent = server.asked
    assert (ours.path, ours.query, ours.json()) == (sent.path, sent.query, sent.json())
    assert isinstance(reply, Reply)
    assert reply.embeddings == [[0.5, 1.0]]


FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
        },
    }
}


@pytest.mark.parametrize(
    ("status", "body", "headers", "failure_class", "wait"),
    [
        (400, FILTERED, {}, FailureClass.CONTENT_FILTERED, None),
        (401, {"statusCode": 401, "message": "Unauthorized."}, {}, FailureClass.CREDENTIAL, None),
        (404, {"error": {"code": "DeploymentNotFound", "message": "no"}}, {}, FailureClass.UNSUPPORTED, None),
        (
            429,
            {"error": {"code": "429", "message": "slow"}},
            {"retry-after-ms": "1500"},
            FailureClass.RATE_LIMITED,
            1.5,
        ),
        (
            429,
            {"error": {"code": "429", "message": "slow"}},
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
            FailureClass.RATE_LIMITED,
            360.0,
        ),
        (
            429,
            {"error": {"code": "429", "message": "slow"}},
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"},
            FailureClass.RATE_LIMITED,
            0.12,
        ),
        (
            429,
            {"error": {"code": "429", "message": "slow"}},
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "17"},
            FailureClass.RATE_LIMITED,
            17.0,
        ),
        (
            429,
            {"error": {"code": "429", "message": "slow"}},
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"},
            FailureClass.RATE_LIMITED,
            None,
        ),
    ],
)
def test_errors_of_azure_have_their_class_and_their_wait(
    status: int, body: Any, headers: dict[str, str], failure_class: FailureClass, wait: float | None
) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(status, body, headers))
        failure = by_us(deployment_at(server))
    assert isinstance(failure, Failure)
    assert (failure.failure_class, failure.retry_after) == (failure_class, wait)
    assert calls.KEY not in failure.message


@pytest.mark.parametrize(
    ("base_url", "version"),
    [("https://x.openai.azure.com/openai/v1", "v1"), ("https://x.openai.azure.com", "2024"), ("https://x.com", 1)],
)
def test_an_entry_that_cannot_be_called_is_refused(base_url: str, version: object) -> None:
    with pytest.raises(ValueError, match="azure_api_version"):
        check_deployment(calls.deployment(base_url=base_url, options={"azure_api_version": version}))
