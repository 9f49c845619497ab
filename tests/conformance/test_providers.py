"""What every provider adapter has to do. A new adapter joins with one rig in `RIGS`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from pipelines.providers.anthropic import AnthropicProvider
from pipelines.providers.google import GoogleProvider
from pipelines.providers.openai import OpenAIProvider
from pipelines.providers.protocol import Call, Provider, answer_to
from pipelines.providers.sandbox import SandboxProvider
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import MAYBE_BILLED, Failure, FailureClass
from synthralos.domain.ids import new_id
from tests.fakes import calls
from tests.fakes.behaviors import error
from tests.fakes.dialects import ANTHROPIC, GOOGLE, OPENAI, Dialect, anthropic_error, google_error
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.ports import free_port

Misbehavior = Callable[[Call, FailureClass], Awaitable[Call]]


@dataclass
class Rig:
    """A provider, a call that it can answer, and how to make calls go wrong (`spoil`) or never end (`hang`).

    `under_way` returns when so many calls have reached the provider since the rig was built.
    """

    provider: Provider
    call: Call
    spoil: Misbehavior
    hang: Callable[[Call], Awaitable[Call]]
    retry_after: Misbehavior
    under_way: Callable[[int], Awaitable[None]]

    async def made(self, call: Call) -> Reply | Failure:
        return await answer_to(call, self.provider.begin)


OPENAI_ERRORS: dict[FailureClass, dict[str, Any]] = {
    FailureClass.RATE_LIMITED: {"status": 429, "body": error("slow down", "requests", "rate_limit_exceeded")},
    FailureClass.QUOTA_EXHAUSTED: {"status": 429, "body": error("pay", "insufficient_quota", "insufficient_quota")},
    FailureClass.OVERLOADED: {"status": 503},
    FailureClass.SERVER_ERROR: {"status": 500},
    FailureClass.CREDENTIAL: {"status": 401, "body": error("no", "invalid_request_error", "invalid_api_key")},
    FailureClass.INVALID_REQUEST: {"status": 400, "body": error("bad tool", "invalid_request_error")},
    FailureClass.CONTEXT_LENGTH: {"status": 400, "body": error("long", "x", "context_length_exceeded")},
    FailureClass.CONTENT_FILTERED: {"finish_reason": "content_filter"},
    FailureClass.AMBIGUOUS: {"close": "mid_reply"},
    FailureClass.TIMEOUT: {"status": 504},
}


ANTHROPIC_ERRORS: dict[FailureClass, dict[str, Any]] = {
    FailureClass.RATE_LIMITED: {"status": 429, "body": anthropic_error("slow down", 429)},
    FailureClass.QUOTA_EXHAUSTED: {"status": 400, "body": anthropic_error("Your credit balance is too low", 400)},
    FailureClass.OVERLOADED: {"status": 529},
    FailureClass.SERVER_ERROR: {"status": 500},
    FailureClass.CREDENTIAL: {"status": 401},
    FailureClass.INVALID_REQUEST: {"status": 400, "body": anthropic_error("tools.0: bad", 400)},
    FailureClass.CONTEXT_LENGTH: {"status": 400, "body": anthropic_error("prompt is too long: 9 tokens > 8", 400)},
    FailureClass.CONTENT_FILTERED: {"finish_reason": "refusal"},
    FailureClass.AMBIGUOUS: {"close": "mid_reply"},
    FailureClass.TIMEOUT: {"status": 504},
}
GOOGLE_ERRORS: dict[FailureClass, dict[str, Any]] = {
    FailureClass.RATE_LIMITED: {"status": 429, "body": google_error("slow down", 429)},
    FailureClass.QUOTA_EXHAUSTED: {
        "status": 429,
        "body": google_error("quota", 429, {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}),
    },
    FailureClass.OVERLOADED: {"status": 503},
    FailureClass.SERVER_ERROR: {"status": 500},
    FailureClass.CREDENTIAL: {"status": 400, "body": google_error("no", 400, {"reason": "API_KEY_INVALID"})},
    FailureClass.INVALID_REQUEST: {"status": 400, "body": google_error("bad tool", 400)},
    FailureClass.CONTEXT_LENGTH: {
        "status": 400,
        "body": google_error("The input token count exceeds the maximum number of tokens allowed 9.", 400),
    },
    FailureClass.CONTENT_FILTERED: {"finish_reason": "SAFETY"},
    FailureClass.AMBIGUOUS: {"close": "mid_reply"},
    FailureClass.TIMEOUT: {"status": 504},
}


@dataclass(frozen=True)
class Spoken:
    """An adapter over HTTP: who speaks it, to which paths of the fake server, and how its errors look."""

    provider: Callable[[CredentialsNow], Provider]
    dialect: Dialect
    errors: dict[FailureClass, dict[str, Any]]


SPOKEN = {
    "openai": Spoken(OpenAIProvider, OPENAI, OPENAI_ERRORS),
    "anthropic": Spoken(AnthropicProvider, ANTHROPIC, ANTHROPIC_ERRORS),
    "google": Spoken(GoogleProvider, GOOGLE, GOOGLE_ERRORS),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as running:
        yield running


@asynccontextmanager
async def http_rig(name: str, server: FakeOpenAIProcess) -> AsyncIterator[Rig]:
    spoken = SPOKEN[name]
    server.reset()
    before = len(server.bill())
    deployment = calls.deployment(name, base_url=f"{server.url}{spoken.dialect.base}")
    provider = spoken.provider(calls.credentials(deployment))

    async def behave(call: Call, behavior: dict[str, Any]) -> Call:
        await asyncio.to_thread(partial(server.behave, **behavior))
        return call

    async def spoil(call: Call, failure_class: FailureClass) -> Call:
        if failure_class is FailureClass.CONNECTION:
            return replace(call, deployment=calls.deployment(name, base_url=f"http://127.0.0.1:{free_port()}/v1"))
        return await behave(call, spoken.errors[failure_class])

    async def hang(call: Call) -> Call:
        return await behave(call, {"hang": True})

    async def retry_after(call: Call, failure_class: FailureClass) -> Call:
        return await behave(call, {**spoken.errors[failure_class], "headers": {"Retry-After": "7"}})

    async def under_way(number: int) -> None:
        await asyncio.to_thread(server.wait_for_calls, before + number)

    yield Rig(provider, calls.call(deployment), spoil, hang, retry_after, under_way)
    server.release()
    await provider.close()


@asynccontextmanager
async def sandbox_rig(_: FakeOpenAIProcess) -> AsyncIterator[Rig]:
    def told(call: Call, **options: Any) -> Call:
        return replace(call, request=calls.request(provider_options={"sandbox": options}))

    async def spoil(call: Call, failure_class: FailureClass) -> Call:
        return replace(told(call, failures=[str(failure_class)]), timeout=0.05)

    async def hang(call: Call) -> Call:
        return told(call, delay_seconds=3600.0)

    async def retry_after(call: Call, failure_class: FailureClass) -> Call:
        return told(call, failures=[str(failure_class)], retry_after_seconds=7.0)

    async def under_way(number: int) -> None:
        await asyncio.sleep(0)  # one turn of the loop: it books a call before its first wait
        assert provider.calls.total() == number

    provider = SandboxProvider()
    call = calls.call(calls.deployment("sandbox"))
    yield Rig(provider, call, spoil, hang, retry_after, under_way)
    await provider.close()


RIGS: dict[str, Any] = {**{name: partial(http_rig, name) for name in SPOKEN}, "sandbox": sandbox_rig}
FAILURES = {
    **{name: [*spoken.errors, FailureClass.CONNECTION] for name, spoken in SPOKEN.items()},
    "sandbox": list(FailureClass),
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, server: FakeOpenAIProcess) -> Any:
    return partial(RIGS[request.param], server)


def run(rig: Any, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with rig() as ready:
            await scenario(ready)

    asyncio.run(whole())


def test_an_answer_comes_with_its_text_and_its_tokens(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        reply = await ready.made(ready.call)
        assert isinstance(reply, Reply)
        assert reply.text
        assert reply.usage is not None
        assert reply.usage.input > 0
        assert reply.usage.output > 0
        assert reply.finish_reason == "stop"
        assert reply.model == ready.call.deployment.upstream_model
        assert reply.provider_request_id

    run(rig, scenario)


@pytest.mark.parametrize(
    ("name", "failure_class"), [(name, failure_class) for name in RIGS for failure_class in FAILURES[name]]
)
def test_each_class_of_failure_is_recognized(server: FakeOpenAIProcess, name: str, failure_class: FailureClass) -> None:
    async def scenario(ready: Rig) -> None:
        failure = await ready.made(await ready.spoil(ready.call, failure_class))
        assert isinstance(failure, Failure)
        assert failure.failure_class is failure_class
        assert failure.message
        assert failure.maybe_billed == (failure_class in MAYBE_BILLED)

    run(partial(RIGS[name], server), scenario)


def test_a_call_that_takes_too_long_ends_as_a_timeout_that_may_be_billed(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        call = replace(await ready.hang(ready.call), timeout=0.1)
        async with asyncio.timeout(10):
            failure = await ready.made(call)
        assert isinstance(failure, Failure)
        assert failure.failure_class is FailureClass.TIMEOUT
        assert failure.maybe_billed

    run(rig, scenario)


def test_the_wait_that_the_provider_asks_for_is_passed_on(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        failure = await ready.made(await ready.retry_after(ready.call, FailureClass.RATE_LIMITED))
        assert isinstance(failure, Failure)
        assert failure.retry_after == 7.0

    run(rig, scenario)


def test_a_cancelled_call_raises_and_leaves_no_task_behind(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        before = asyncio.all_tasks()
        task = asyncio.create_task(ready.made(await ready.hang(ready.call)))
        await ready.under_way(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ready.provider.close()
        assert asyncio.all_tasks() == before

    run(rig, scenario)


def test_calls_in_flight_do_not_wait_for_one_another(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        hanging = await ready.hang(ready.call)
        stuck = [asyncio.create_task(ready.made(hanging)) for _ in range(300)]
        await ready.under_way(300)
        broken = await ready.spoil(ready.call, FailureClass.SERVER_ERROR)
        failure = await ready.made(broken)
        assert isinstance(failure, Failure)
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        ends = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)

    run(rig, scenario)


def test_a_thousand_calls_at_once_all_get_their_own_answer(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        many = [replace(ready.call, job_id=new_id()) for _ in range(1000)]
        ends = await asyncio.gather(*(ready.made(call) for call in many))
        assert all(isinstance(end, Reply) for end in ends)
        assert len({end.provider_request_id for end in ends if isinstance(end, Reply)}) == 1000

    run(rig, scenario)


def test_it_can_be_closed_twice_and_without_ever_having_been_called(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        await ready.provider.close()
        await ready.provider.close()

    run(rig, scenario)


def test_the_end_of_a_call_is_told_once_and_after_it_began(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        refused = replace(ready.call, deployment=replace(ready.call.deployment, api_key_env="NO_SUCH_KEY"))
        for call in (ready.call, refused):
            told, ended = [], asyncio.Event()

            def done(answer: Reply | Failure, told: list[Any] = told, ended: asyncio.Event = ended) -> None:
                told.append(answer)
                ended.set()

            cancel = ready.provider.begin(call, done)
            assert told == []
            await ended.wait()
            cancel()
            assert len(told) == 1

    run(rig, scenario)


def test_of_a_cancelled_call_nobody_hears(rig: Any) -> None:
    async def scenario(ready: Rig) -> None:
        told: list[Any] = []
        cancel = ready.provider.begin(await ready.hang(ready.call), told.append)
        await ready.under_way(1)
        cancel()
        cancel()
        await ready.provider.close()
        assert told == []

    run(rig, scenario)
