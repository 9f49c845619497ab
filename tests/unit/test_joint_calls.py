"""Embeddings of one tenant go to their provider in one call; each job gets its part of the answer and the bill."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.execute.shares import split, split_usage
from pipelines.execute.stage import ExecuteStage, attempt_end
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import Call, Cancel, Done, end_soon
from synthralos.domain.attempts import Billed, Reply
from synthralos.domain.deployments import Capability, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request
from synthralos.domain.money import Price, Usage
from synthralos.telemetry.families import JOINT_CALLS, JOINT_JOBS
from synthralos.telemetry.metrics import Metrics
from tests.fakes import calls
from tests.fakes.vector_server import POISON, VectorServer, vector_of, vector_server

PRICE = Price(Decimal("0.000001"), Decimal(0))
"""A millionth of a dollar for a million tokens: each token is one picodollar, the least that is booked."""

Answer = Reply | Failure


@pytest.fixture
def server() -> Iterator[VectorServer]:
    with vector_server() as running:
        yield running


def at(server: VectorServer, **options: Any) -> Deployment:
    makes = frozenset({Capability.EMBEDDINGS})
    return calls.deployment("openai", base_url=server.url, capabilities=makes, price=PRICE, options=options)


def asks(to: Deployment, texts: str | list[str], tenant: str = "acme", timeout: float = 30.0, **body: Any) -> Call:
    call = calls.call(to, Request("m", {"kind": "embedding", "input": texts, **body}), timeout=timeout)
    call.joins = (tenant, "main", None)
    return call


class Stage:
    """An execute stage with a real provider, and what its calls were answered."""

    def __init__(self, deployment: Deployment) -> None:
        self.metrics = Metrics()
        self.stage = ExecuteStage({"openai": OpenAIProvider(calls.credentials(deployment))}, metrics=self.metrics)

    def begin(self, call: Call) -> tuple["asyncio.Future[Answer]", Cancel]:
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        return ended, self.stage.begin(call, ended.set_result)

    async def all(self, wanted: Sequence[Call]) -> list[Answer]:
        return await asyncio.gather(*[self.begin(call)[0] for call in wanted])

    def counted(self, outcome: str, deployment: str = "openai/model@us") -> tuple[float, float]:
        read = self.metrics.registry.get_sample_value
        labels = {"deployment": deployment, "outcome": outcome}
        return read(JOINT_CALLS.name, labels) or 0.0, read(JOINT_JOBS.name, labels) or 0.0


def run(deployment: Deployment, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def whole() -> None:
        stage = Stage(deployment)
        try:
            await scenario(stage)
        finally:
            await stage.stage.close()

    asyncio.run(whole())


def vectors(answer: Answer) -> Any:
    assert isinstance(answer, Reply), answer
    return answer.embeddings


def test_calls_that_begin_together_are_one_and_each_gets_its_own_vectors(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        first, second, third = await stage.all(
            [asks(at_server, "one"), asks(at_server, ["two", "three"]), asks(at_server, "four")]
        )
        assert vectors(first) == [vector_of("one")]
        assert vectors(second) == [vector_of("two"), vector_of("three")]
        assert vectors(third) == [vector_of("four")]
        assert server.sizes == [4]
        assert stage.counted("answered") == (1, 3)

    at_server = at(server)
    run(at_server, scenario)


def test_the_parts_of_the_bill_are_the_bill_to_the_last_picodollar(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        answers = await stage.all([asks(at_server, "x" * size) for size in (1, 7, 7, 90, 3)])
        ends = [attempt_end(1, at_server, answer, 0.1) for answer in answers]
        costs = [end.cost for end in ends if end.cost is not None]
        assert [end.billed for end in ends] == [Billed.YES] * 5
        [tokens] = server.billed
        assert sum(end.usage.input for end in ends if end.usage is not None) == tokens
        assert sum(costs) == Decimal(tokens).scaleb(-12)
        assert max(costs) == costs[3]

    at_server = at(server)
    run(at_server, scenario)


@pytest.mark.parametrize(
    "other",
    [{"tenant": "globex"}, {"dimensions": 3}, {"encoding_format": "base64"}],
    ids=["another tenant", "other dimensions", "another form"],
)
def test_what_is_not_alike_goes_in_a_call_of_its_own(server: VectorServer, other: dict[str, Any]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.all([asks(at_server, "one"), asks(at_server, "two", **other), asks(at_server, "three")])
        assert sorted(server.sizes) == [1, 2]

    at_server = at(server)
    run(at_server, scenario)


def test_a_call_that_may_not_be_shared_is_not(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        alone = replace(asks(at_server, "two"), joins=None)
        await stage.all([asks(at_server, "one"), alone, asks(at_server, "three")])
        assert sorted(server.sizes) == [1, 2]

    at_server = at(server)
    run(at_server, scenario)


def test_a_poisoned_text_fails_its_own_job_alone(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        fine, poisoned, well = await stage.all(
            [asks(at_server, "fine"), asks(at_server, POISON), asks(at_server, "well")]
        )
        assert (vectors(fine), vectors(well)) == ([vector_of("fine")], [vector_of("well")])
        assert isinstance(poisoned, Failure)
        assert poisoned.failure_class is FailureClass.INVALID_REQUEST
        assert (server.sizes[0], len(server.billed)) == (3, 2)
        assert stage.counted("split") == (1, 3)

    at_server = at(server)
    run(at_server, scenario)


def test_the_call_for_all_and_that_of_its_first_job_have_different_idempotency_keys(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.all([asks(at_server, POISON), asks(at_server, "well")])
        keys = [asked.headers["idempotency-key"] for asked in server.server.asked]
        assert len(set(keys)) == 3

    at_server = at(server)
    run(at_server, scenario)


def test_a_deployment_that_takes_fewer_texts_is_asked_for_fewer_from_then_on(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        for _ in range(3):
            answers = await stage.all([asks(at_server, f"text {number}") for number in range(8)])
            assert all(isinstance(answer, Reply) for answer in answers)
        assert sorted(server.sizes[:9]) == [1] * 8 + [8]
        assert server.sizes[-2:] == [4, 4]

    server.most = 4
    at_server = at(server)
    run(at_server, scenario)


def test_a_deployment_says_how_many_texts_a_shared_call_has(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.all([asks(at_server, ["a", "b"]), asks(at_server, "c"), asks(at_server, "d")])
        assert sorted(server.sizes) == [1, 3]

    at_server = at(server, joint_inputs=3)
    run(at_server, scenario)


def test_a_call_that_fails_as_a_whole_fails_all_of_its_jobs(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        answers = await stage.all([asks(at_server, "one"), asks(at_server, "two")])
        assert [answer.failure_class for answer in answers if isinstance(answer, Failure)] == [
            FailureClass.SERVER_ERROR
        ] * 2
        assert (server.sizes, stage.counted("failed")) == ([2], (1, 2))

    server.failing = 1
    at_server = at(server)
    run(at_server, scenario)


def test_who_is_cancelled_leaves_the_others_alone(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        staying, _ = stage.begin(asks(at_server, "stays"))
        gone, cancel = stage.begin(asks(at_server, "goes"))
        assert await asyncio.to_thread(server.came.wait, 60)
        cancel()
        server.held.set()
        assert vectors(await staying) == [vector_of("stays")]
        assert not gone.done()

    server.held.clear()
    at_server = at(server)
    run(at_server, scenario)


def test_who_is_cancelled_before_the_call_is_not_in_it(server: VectorServer) -> None:
    async def scenario(stage: Stage) -> None:
        staying, _ = stage.begin(asks(at_server, "stays"))
        _, cancel = stage.begin(asks(at_server, "goes"))
        cancel()
        await staying
        assert server.sizes == [1]

    at_server = at(server)
    run(at_server, scenario)


class Silent:
    """Answers nothing, and notes what was cut."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()
        self.begun: list[Call] = []

    def begin(self, call: Call, done: Done) -> Cancel:
        self.begun.append(call)
        return self.cut.set

    async def close(self) -> None: ...


def test_the_call_is_cut_when_the_last_of_its_jobs_has_left() -> None:
    async def scenario() -> None:
        silent, deployment = Silent(), replace(PLAIN, adapter="silent")
        stage = ExecuteStage({"silent": silent})
        cancels = [stage.begin(asks(deployment, text), lambda _: None) for text in ("one", "two")]
        await asyncio.sleep(0)
        cancels[0]()
        assert not silent.cut.is_set()
        cancels[1]()
        assert silent.cut.is_set()

    asyncio.run(scenario())


def test_who_has_less_time_ends_by_itself_as_maybe_billed() -> None:
    async def scenario() -> None:
        silent, deployment = Silent(), replace(PLAIN, adapter="silent")
        stage = ExecuteStage({"silent": silent})
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        stage.begin(asks(deployment, "patient"), lambda _: None)
        stage.begin(asks(deployment, "hasty", timeout=0.01), ended.set_result)
        answer = await ended
        assert isinstance(answer, Failure)
        assert answer.maybe_billed
        assert [call.timeout for call in silent.begun] == [30.0]
        assert not silent.cut.is_set()

    asyncio.run(scenario())


class Broken:
    """Has a bug."""

    def begin(self, call: Call, done: Done) -> Cancel:
        raise RuntimeError("a bug")

    async def close(self) -> None: ...


def test_a_bug_of_an_adapter_ends_every_job_of_the_call() -> None:
    async def scenario() -> None:
        stage = ExecuteStage({"broken": Broken()})
        deployment = replace(PLAIN, adapter="broken")
        ended = [asyncio.get_running_loop().create_future() for _ in range(2)]
        for each in ended:
            stage.begin(asks(deployment, "text"), each.set_result)
        answers = await asyncio.gather(*ended)
        assert [answer.failure_class for answer in answers] == [FailureClass.AMBIGUOUS] * 2

    asyncio.run(scenario())


class Answering:
    """Answers so."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def begin(self, call: Call, done: Done) -> Cancel:
        return end_soon(self.answer, done)

    async def close(self) -> None: ...


def test_an_answer_that_does_not_fit_is_billed_to_all_by_their_parts() -> None:
    async def scenario() -> None:
        misfit = Failure(FailureClass.SCHEMA_MISMATCH, "a vector is missing", usage=Usage(10, 0))
        stage = ExecuteStage({"answering": Answering(misfit)})
        deployment = replace(PLAIN, adapter="answering")
        ended = [asyncio.get_running_loop().create_future() for _ in range(3)]
        for each in ended:
            stage.begin(asks(deployment, "text"), each.set_result)
        assert [answer.usage.input for answer in await asyncio.gather(*ended)] == [4, 3, 3]

    asyncio.run(scenario())


PLAIN = calls.deployment("openai", capabilities=frozenset({Capability.EMBEDDINGS}), price=PRICE)

_weights = st.lists(st.integers(0, 10_000), min_size=1, max_size=40)


@given(whole=st.integers(0, 10**9), by=_weights)
def test_parts_sum_to_the_whole_and_none_is_one_away_from_its_share(whole: int, by: list[int]) -> None:
    parts = split(whole, by)
    assert sum(parts) == whole
    total = sum(by)
    if total:
        assert all(abs(part * total - whole * weight) < total for part, weight in zip(parts, by, strict=True))


@given(tokens=st.integers(0, 10**7), cached=st.integers(0, 10**7), by=_weights)
def test_parts_of_a_usage_sum_to_it_and_none_has_more_cached_than_it_has(
    tokens: int, cached: int, by: list[int]
) -> None:
    usage = Usage(tokens, 0, cached=min(tokens, cached))
    parts = split_usage(usage, by)
    assert (sum(part.input for part in parts), sum(part.cached for part in parts)) == (tokens, usage.cached)
    assert all(part.cached <= part.input for part in parts)
    price = Price(Decimal("0.13"), Decimal(0), cached=Decimal("0.0325"))
    costs = [price.cost(part) for part in parts]
    assert sum(cost for cost in costs if cost is not None) == price.cost(usage)
