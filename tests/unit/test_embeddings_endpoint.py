"""Prompts placed by a server of embeddings: what is sent, what comes back, and what happens where nothing does."""

import asyncio
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from pipelines.embedders.endpoint import EMBEDDINGS, MOST_TEXTS, EmbeddingsEndpoint
from pipelines.embedders.leaving import may_leave
from pipelines.embedders.likeness import EndpointLikeness
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.protocol import Vectors
from pipelines.validation.breaker import FAILURES, Breaker
from synthralos.domain.jobs import Constraints, Job
from synthralos.telemetry.families import EMBEDDED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from tests.fakes.scripted_server import DROPPED, Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stage_jobs import a_job
from workers.event_loop import EventLoopThread

DIMENSIONS = 16
KEY = "sk-embeddings"


def vector(text: str) -> list[float]:
    """The same for the same text, and another one for another."""
    return [each - 127.5 for each in blake2b(text.encode(), digest_size=DIMENSIONS).digest()]


def embeddings(asked: Asked) -> Answer:
    """As OpenAI answers, and in another order than asked for: the index counts."""
    body = asked.json()
    data = [{"object": "embedding", "index": n, "embedding": vector(text)} for n, text in enumerate(body["input"])]
    return Answer(200, {"object": "list", "model": body["model"], "data": data[::-1], "usage": {"prompt_tokens": 1}})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = embeddings
        yield server


@pytest.fixture
def thread() -> Iterator[EventLoopThread]:
    thread = EventLoopThread("test")
    thread.start()
    yield thread
    thread.stop()


def embed(url: str, *texts: str, seconds: float = 5.0, outages: Outages | None = None) -> Vectors | None:
    async def run() -> Vectors | None:
        endpoint = EmbeddingsEndpoint(url, "small", KEY, seconds, outages or Outages())
        try:
            return await endpoint.embed(texts)
        finally:
            await endpoint.close()

    return asyncio.run(run())


def test_each_text_has_its_vector_of_length_one_whatever_the_order_of_the_answer(server: ScriptedServer) -> None:
    texts = [f"text {n}" for n in range(MOST_TEXTS + 3)]
    rows = embed(f"{server.url}/v1/", *texts)
    assert rows is not None
    wanted = np.array([vector(text) for text in texts])
    assert np.allclose(rows, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
    assert sorted(len(asked.json()["input"]) for asked in server.asked) == [3, MOST_TEXTS]
    [first, _] = server.asked
    assert (first.method, first.path, first.headers["authorization"]) == ("POST", "/v1/embeddings", f"Bearer {KEY}")
    assert (first.json()["model"], first.json()["encoding_format"]) == ("small", "float")


def test_long_and_odd_texts_are_sent_in_a_form_that_servers_take(server: ScriptedServer) -> None:
    assert embed(server.url, "a" * 1_000_000, "\ud800", "") is not None
    long, odd, nothing = server.asked[0].json()["input"]
    assert (len(long), odd, nothing) == (6_000, "?", " ")


def data(*rows: Any) -> Answer:
    return Answer(200, {"data": [{"index": n, "embedding": row} for n, row in enumerate(rows)]})


@pytest.mark.parametrize(
    "answer",
    [
        DROPPED,
        Answer(500, {}),
        Answer(401, {"error": {"message": "no"}}),
        Answer(200, b"{"),
        Answer(200, []),
        Answer(200, {"data": None}),
        data([1.0, 2.0]),
        data([1.0, 2.0], [1.0]),
        data([1.0, 2.0], [1.0, "x"]),
        data([1.0, 2.0], [1.0, None]),
        data([1.0], [2.0]),
        data([0.0] * 9_000, [0.0] * 9_000),
        data([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]),
        Answer(200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}] * 2}),
        Answer(200, b'{"data": [{"index": 0, "embedding": [1e400, 1]}, {"index": 1, "embedding": [1, 1]}]}'),
    ],
    ids=range(15),
)
def test_an_answer_of_no_use_is_none_and_is_told(server: ScriptedServer, answer: Answer) -> None:
    server.script = lambda _: answer
    outages = Outages()
    assert embed(server.url, "a", "b", outages=outages) is None
    assert EMBEDDINGS in outages.seconds()


def test_vectors_of_any_length_become_of_length_one_and_nothing_stays_nothing(server: ScriptedServer) -> None:
    server.script = lambda _: data([3e200, 4e200], [0, 0])
    rows = embed(server.url, "a", "b")
    assert rows is not None
    assert np.allclose(rows, [[0.6, 0.8], [0, 0]])


def test_a_server_that_fails_again_and_again_is_left_alone(server: ScriptedServer) -> None:
    server.script = lambda _: Answer(503, {})
    now = [0.0]

    async def run() -> None:
        endpoint = EmbeddingsEndpoint(server.url, "small", None, 5.0, Outages(), Breaker(lambda: now[0]))
        for _ in range(FAILURES + 2):
            assert await endpoint.embed(["a"]) is None
        assert len(server.asked) == FAILURES
        now[0], server.script = 60.0, embeddings
        assert await endpoint.embed(["a"]) is not None
        assert await endpoint.embed(["a"]) is not None
        await endpoint.close()

    asyncio.run(run())
    assert "authorization" not in server.asked[0].headers


def test_texts_that_are_too_much_for_it_do_not_close_the_server_for_others(server: ScriptedServer) -> None:
    server.script = lambda asked: Answer(400, {}) if asked.json()["input"] == ["long"] else embeddings(asked)

    async def run() -> None:
        endpoint = EmbeddingsEndpoint(server.url, "small", None, 5.0, Outages())
        for _ in range(FAILURES + 2):
            assert await endpoint.embed(["long"]) is None
        assert await endpoint.embed(["short"]) is not None
        await endpoint.close()

    asyncio.run(run())


class Placing:
    """A likeness that asks a server, and the counts that it keeps."""

    def __init__(
        self, url: str, thread: EventLoopThread, *, residency: str | None = None, seconds: float = 5.0
    ) -> None:
        self.metrics = Metrics()
        self.endpoint = EmbeddingsEndpoint(url, "small", None, seconds, Outages())
        self.likeness = EndpointLikeness(NgramLikeness(), self.endpoint, residency, thread.result, self.metrics)

    def embedders(self, *jobs: Job) -> list[str]:
        texts = [job.request.texts()[0] for job in jobs]
        return [each.embedder for each in self.likeness.embed(jobs, texts)]

    def counts(self) -> dict[str, float]:
        counters = self.metrics.counters(EMBEDDED)
        return {how: counters[(how,)]._value.get() for how in ("endpoint", "unanswered", "kept")}


def bound(text: str = "Name three rivers", **demands: Any) -> Job:
    job = a_job(text)
    job.constraints = Constraints(**demands)
    return job


def test_a_batch_is_split_between_those_who_may_leave_and_those_who_may_not(
    server: ScriptedServer, thread: EventLoopThread
) -> None:
    placing = Placing(server.url, thread)
    jobs = [bound(), bound("secret of the eu", classification="eu"), bound("Bake a cake")]
    assert placing.embedders(*jobs) == ["openai/small/16", "ngrams-1", "openai/small/16"]
    assert [asked.json()["input"] for asked in server.asked] == [["Name three rivers", "Bake a cake"]]
    assert placing.counts() == {"endpoint": 2, "unanswered": 0, "kept": 1}
    thread.run(placing.endpoint.close())


def test_where_the_server_does_not_answer_in_time_the_built_in_embedder_does(
    server: ScriptedServer, thread: EventLoopThread
) -> None:
    placing = Placing("http://127.0.0.1:9", thread)
    assert placing.embedders(bound(), bound()) == ["ngrams-1"] * 2
    assert placing.counts() == {"endpoint": 0, "unanswered": 2, "kept": 0}
    thread.run(placing.endpoint.close())


def test_a_loop_that_has_stopped_stops_no_job(server: ScriptedServer, thread: EventLoopThread) -> None:
    stopped = EventLoopThread("stopped")
    stopped.start()
    stopped.stop()
    assert Placing(server.url, stopped).embedders(bound()) == ["ngrams-1"]


def test_vectors_are_known_by_their_makers_alone(server: ScriptedServer, thread: EventLoopThread) -> None:
    likeness = Placing(server.url, thread).likeness
    assert likeness.nearness("openai/small/16") == 0.5
    assert likeness.nearness("ngrams-1") == NgramLikeness().nearness("ngrams-1")
    assert likeness.nearness("openai/smaller/16") is None


@pytest.mark.parametrize(
    ("demands", "residency", "leaves"),
    [
        ({}, None, True),
        ({"classification": "none"}, None, True),
        ({"classification": "eu"}, None, False),
        ({"classification": "eu"}, "us", False),
        ({"classification": "eu"}, "eu", True),
        ({"classification": "EU "}, "us", False),
        ({"classification": "topsecret"}, "eu", False),
        ({"region": "us"}, "eu", False),
        ({"region": "eu"}, None, False),
        ({"region": "eu"}, "eu", True),
        ({"zero_retention": True}, "eu", False),
    ],
)
def test_what_is_bound_to_somewhere_else_does_not_leave(
    demands: dict[str, Any], residency: str | None, leaves: bool
) -> None:
    assert may_leave(bound(**demands), "Name three rivers", residency) is leaves


@pytest.mark.parametrize(
    "text", ["Write to jo@example.com", "key: sk-abcdefghijklmnop1234567890", "4111 1111 1111 1111"]
)
def test_private_data_does_not_leave(text: str) -> None:
    assert not may_leave(bound(), text, "eu")
