"""The fake server is as good as the real one's SDK says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.fakes.behaviors import Behavior, completion
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeOpenAIProcess]:
    with fake_openai(tmp_path / "bill.jsonl") as running:
        yield running


@pytest.fixture
def sdk(server: FakeOpenAIProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=server.base_url, max_retries=0) as client:
        yield client


def ask(sdk: openai.OpenAI, job: str = "job", attempt: int = 1) -> ChatCompletion:
    return sdk.chat.completions.create(
        model="gpt-x",
        messages=MESSAGES,  # type: ignore[arg-type]
        extra_headers={"Idempotency-Key": f"{job}/{attempt}"},
    )


@pytest.mark.parametrize(
    "behavior",
    [
        Behavior(),
        Behavior(finish_reason="length", usage=False),
        Behavior(tool_calls=[{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    ],
)
def test_its_completions_are_valid_by_the_types_of_the_sdk(behavior: Behavior) -> None:
    ChatCompletion.model_validate(completion({"model": "gpt-x", "messages": MESSAGES}, behavior, 1), strict=True)


def test_the_sdk_gets_an_answer_and_the_bill_shows_the_call_with_the_same_tokens(
    server: FakeOpenAIProcess, sdk: openai.OpenAI, tmp_path: Path
) -> None:
    answer = ask(sdk, "job-1", 2)
    assert answer.usage is not None
    line = json.loads((tmp_path / "bill.jsonl").read_text())
    assert line == {
        "job_id": "job-1",
        "attempt_no": 2,
        "model": "gpt-x",
        "input_tokens": answer.usage.prompt_tokens,
        "output_tokens": answer.usage.completion_tokens,
        "billed": True,
        "replied": True,
    }
    assert server.bill() == [line]


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (401, openai.AuthenticationError), (500, openai.InternalServerError)],
)
def test_the_sdk_recognizes_its_errors(
    server: FakeOpenAIProcess, sdk: openai.OpenAI, status: int, error: type[Exception]
) -> None:
    server.behave(status=status)
    with pytest.raises(error):
        ask(sdk)
    assert [line["billed"] for line in server.bill()] == [False]


@pytest.mark.parametrize("close", ["before_reply", "mid_reply"])
def test_a_cut_connection_is_billed_and_not_replied(server: FakeOpenAIProcess, sdk: openai.OpenAI, close: str) -> None:
    server.behave(close=close)
    with pytest.raises((openai.APIConnectionError, httpx.TransportError)):
        ask(sdk)
    assert [(line["billed"], line["replied"]) for line in server.bill()] == [(True, False)]


def test_a_behavior_can_be_for_one_model_and_for_some_calls(server: FakeOpenAIProcess, sdk: openai.OpenAI) -> None:
    server.behave(model="other", status=500)
    server.behave(text="twice", times=2)
    assert [ask(sdk).choices[0].message.content for _ in range(3)] == ["twice", "twice", "answer 3"]


def test_a_slow_trickle_arrives_whole(server: FakeOpenAIProcess, sdk: openai.OpenAI) -> None:
    server.behave(trickle=0.001)
    assert ask(sdk).choices[0].message.content


def test_a_request_without_messages_is_refused(server: FakeOpenAIProcess, sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        sdk.chat.completions.create(model="gpt-x", messages=[])
    assert server.bill() == []


def test_thousands_of_calls_hang_until_they_are_released(server: FakeOpenAIProcess) -> None:
    calls = 2000

    async def scenario() -> int:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one() -> int:
                body = {"model": "gpt-x", "messages": MESSAGES}
                async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
                    await response.read()
                    return response.status

            server.behave(hang=True)
            tasks = [asyncio.create_task(one()) for _ in range(calls)]
            await asyncio.to_thread(server.wait_for_calls, calls)
            assert not any(task.done() for task in tasks)
            await asyncio.to_thread(server.release)
            return sum(status == 200 for status in await asyncio.gather(*tasks))

    assert asyncio.run(scenario()) == calls


def test_a_killed_server_leaves_every_call_on_its_bill(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    with fake_openai(bill) as server:
        server.behave(hang=True)

        async def scenario() -> None:
            async with aiohttp.ClientSession() as session:
                body = {"model": "gpt-x", "messages": MESSAGES}
                call = asyncio.create_task(session.post(f"{server.base_url}/chat/completions", json=body))
                await asyncio.to_thread(server.wait_for_calls, 1)
                server.process.kill()
                with pytest.raises(aiohttp.ClientError):
                    await call

        asyncio.run(scenario())
    assert len(bill.read_text().splitlines()) == 1
