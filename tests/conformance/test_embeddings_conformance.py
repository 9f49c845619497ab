"""The clients of OpenAI and Google are the judges of embeddings: of what is sent, and of how answers are read."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import openai
import pytest
from google import genai
from google.genai import types
from openai.types import CreateEmbeddingResponse

from pipelines.providers.google import GoogleProvider
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import Provider, answer_to
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Capability
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage
from tests.fakes import calls
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

TEXTS = ["The Seine.", "Le Tibre, à Rome."]
VECTORS = [[0.25, -0.5, 1e-7], [1.0, 0.0, -0.3333333333333333]]


def asked(texts: str | list[str] = TEXTS, options: dict[str, Any] | None = None, **body: Any) -> Request:
    return Request("provider/model", {"kind": "embedding", "input": texts, **body}, options or {})


def packed(vector: list[float]) -> str:
    return base64.b64encode(np.array(vector, "<f4").tobytes()).decode()


def answer(*vectors: Any, usage: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors or VECTORS)],
        "model": "text-embedding-x",
        "usage": {"prompt_tokens": 9, "total_tokens": 9} if usage is None else usage,
        **more,
    }


def by_us(
    server: ScriptedServer,
    request: Request,
    build: Callable[[CredentialsNow], Provider] = OpenAIProvider,
    name: str = "openai",
) -> Reply | Failure:
    async def scenario() -> Reply | Failure:
        makes = frozenset({Capability.EMBEDDINGS})
        deployment = calls.deployment(name, base_url=f"{server.url}/v1", capabilities=makes)
        provider = build(calls.credentials(deployment))
        try:
            return await answer_to(calls.call(deployment, request), provider.begin)
        finally:
            await provider.close()

    return asyncio.run(scenario())


def by_openai(server: ScriptedServer, texts: str | list[str] = TEXTS, **more: Any) -> CreateEmbeddingResponse:
    with openai.OpenAI(api_key=calls.KEY, base_url=f"{server.url}/v1", max_retries=0) as client:
        return client.embeddings.create(model="model", input=texts, **more)


@pytest.mark.parametrize(
    ("texts", "body"),
    [
        ("One text.", {"encoding_format": "float"}),
        (TEXTS, {"encoding_format": "base64", "dimensions": 3}),
    ],
)
def test_what_is_sent_to_openai_is_what_its_client_sends(texts: str | list[str], body: dict[str, Any]) -> None:
    count = 1 if isinstance(texts, str) else len(texts)
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer(*VECTORS[:count])))
        assert isinstance(by_us(server, asked(texts, **body)), Reply)
        by_openai(server, texts, **body)
    ours, theirs = server.asked
    assert (ours.path, ours.json()) == (theirs.path, theirs.json())
    assert ours.headers["authorization"] == theirs.headers["authorization"]


@pytest.mark.parametrize("encoded", [False, True])
def test_vectors_are_read_as_the_client_reads_them(encoded: bool) -> None:
    vectors = [packed(v) for v in VECTORS] if encoded else VECTORS
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer(*vectors)))
        reply, theirs = by_us(server, asked()), by_openai(server)
    assert isinstance(reply, Reply)
    assert reply.embeddings == [each.embedding for each in theirs.data]
    assert reply.model == theirs.model
    assert reply.usage == Usage(theirs.usage.prompt_tokens, 0)


def test_base64_is_given_where_it_is_asked_for_whatever_the_server_gives() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer()), Answer(200, answer(*map(packed, VECTORS))))
        first, second = (by_us(server, asked(encoding_format="base64")) for _ in range(2))
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert first.embeddings == second.embeddings == [packed(vector) for vector in VECTORS]


def test_vectors_come_in_the_order_of_the_texts_whatever_the_order_of_the_answer() -> None:
    document = answer()
    document["data"].reverse()
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        reply = by_us(server, asked())
    assert isinstance(reply, Reply)
    assert reply.embeddings == VECTORS


NOT_ASKED = [
    answer(VECTORS[0]),
    answer(*VECTORS, VECTORS[0]),
    answer(VECTORS[0], [0.5]),
    answer(VECTORS[0], []),
    answer(VECTORS[0], ["x", 1.0, 2.0]),
    answer(VECTORS[0], [True, 1.0, 2.0]),
    answer(VECTORS[0], [10**400, 1.0, 2.0]),
    answer(VECTORS[0], None),
    answer(packed(VECTORS[0]), "no Base64!"),
    answer(packed(VECTORS[0]), packed([float("nan"), 0.0, 0.0])),
    answer(packed(VECTORS[0]), "AAAA"),
    {**answer(), "data": [{"index": 0, "embedding": VECTORS[0]}, {"index": 0, "embedding": VECTORS[1]}]},
    {**answer(), "data": [VECTORS[0], VECTORS[1]]},
]


@pytest.mark.parametrize("document", NOT_ASKED)
def test_vectors_that_were_not_asked_for_are_paid_for_and_no_result(document: dict[str, Any]) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        failure = by_us(server, asked())
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.SCHEMA_MISMATCH
    assert failure.usage == Usage(9, 0)


def test_other_dimensions_than_those_asked_for_are_no_result() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer()))
        failure = by_us(server, asked(dimensions=4))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.SCHEMA_MISMATCH


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": -1}, {"prompt_tokens": 2**70}, {"prompt_tokens": 9, "total_tokens": 10}, []]
)
def test_usage_that_is_missing_or_cannot_be_is_unknown(usage: Any) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer(usage=usage)))
        reply = by_us(server, asked())
    assert isinstance(reply, Reply)
    assert reply.usage is None


@pytest.mark.parametrize(
    ("document", "failure_class"),
    [
        ({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, FailureClass.RATE_LIMITED),
        ({"object": "list"}, FailureClass.AMBIGUOUS),
        ([1, 2], FailureClass.AMBIGUOUS),
    ],
)
def test_what_holds_no_vectors_is_a_failure(document: Any, failure_class: FailureClass) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        failure = by_us(server, asked())
    assert isinstance(failure, Failure)
    assert failure.failure_class is failure_class


def test_options_of_chats_do_not_go_along() -> None:
    with scripted_server() as server:
        failure = by_us(server, asked(options={"openai": {"verbosity": "low"}}))
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.UNSUPPORTED
    assert server.asked == []


def google_answer(**usage: int) -> dict[str, Any]:
    return {"embeddings": [{"values": vector} for vector in VECTORS], **({"usageMetadata": usage} if usage else {})}


def by_google(server: ScriptedServer, **config: Any) -> types.EmbedContentResponse:
    options = types.HttpOptions(base_url=server.url, api_version="v1")
    with genai.Client(api_key=calls.KEY, vertexai=False, http_options=options) as client:
        contents: Any = TEXTS
        given = types.EmbedContentConfig.model_validate(config)
        return client.models.embed_content(model="model", contents=contents, config=given)


def test_google_is_sent_what_its_client_sends_and_read_as_it_reads() -> None:
    request = asked(options={"google": {"taskType": "CLUSTERING"}}, dimensions=3)
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, google_answer(promptTokenCount=9)))
        reply = by_us(server, request, GoogleProvider, "google")
        theirs = by_google(server, taskType="CLUSTERING", outputDimensionality=3)
    ours, sent = server.asked
    assert ours.path == sent.path
    assert ours.headers["x-goog-api-key"] == sent.headers["x-goog-api-key"]
    for our_text, their_text in zip(ours.json()["requests"], sent.json()["requests"], strict=True):
        content = their_text["content"]
        content.pop("role", None)  # the client writes one, which the API does not ask for
        assert our_text == their_text
    assert isinstance(reply, Reply)
    assert reply.embeddings == [each.values for each in theirs.embeddings or ()]
    assert (reply.model, reply.usage) == ("model", Usage(9, 0))


def test_google_without_a_count_costs_what_nobody_knows() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, google_answer()))
        reply = by_us(server, asked(), GoogleProvider, "google")
    assert isinstance(reply, Reply)
    assert reply.usage is None


def test_google_takes_no_more_than_a_hundred_texts() -> None:
    with scripted_server() as server:
        failure = by_us(server, asked(["text"] * 101), GoogleProvider, "google")
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.UNSUPPORTED
    assert server.asked == []
