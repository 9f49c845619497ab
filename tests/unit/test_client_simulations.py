"""Simulations with the client: lines as they come, errors in the middle, and a connection that is closed."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synthralos_client import AsyncClient, Client, ConnectError, RateLimited, ServerError
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

Simulate = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def in_sync(url: str, **wanted: Any) -> dict[str, Any]:
    with Client(url, "sk-syn-test", max_retries=0) as client:
        return client.configuration.simulate_policies(**wanted)


def in_async(url: str, **wanted: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with AsyncClient(url, "sk-syn-test", max_retries=0) as client:
            return await client.configuration.simulate_policies(**wanted)

    return asyncio.run(main())


@pytest.fixture(params=[in_sync, in_async], ids=["sync", "async"])
def simulate(request: pytest.FixtureRequest) -> Simulate:
    return request.param  # type: ignore[no-any-return]


def told(*lines: dict[str, Any], rest: str = "") -> Answer:
    body = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines) + rest
    return Answer(200, body.encode(), {"Content-Type": "application/x-ndjson"})


def test_progress_is_told_and_the_result_is_returned(server: ScriptedServer, simulate: Simulate) -> None:
    first, second = {"event": "progress", "jobs": 1}, {"event": "progress", "jobs": 2}
    server.answer_in_turn(told(first, second, {"event": "result", "name": "größe\u2028"}))
    steps: list[Any] = []
    found = simulate(server.url, draft={"name": "x"}, last=7, on_progress=steps.append)
    assert (steps, found) == ([first, second], {"event": "result", "name": "größe\u2028"})
    assert json.loads(server.asked[0].body) == {"draft": {"name": "x"}, "last": 7}


def test_an_error_in_the_middle_and_one_before_are_raised(server: ScriptedServer, simulate: Simulate) -> None:
    problem = {"title": "away", "status": 503, "detail": "try again", "errors": []}
    server.answer_in_turn(
        told({"event": "error", "problem": problem}),
        Answer(429, {"title": "Too many requests", "status": 429}, {"Retry-After": "1"}),
        told({"event": "progress", "jobs": 1}, rest='{"event": "res'),
    )
    for error in (ServerError, RateLimited, ConnectError):
        with pytest.raises(error):
            simulate(server.url, draft={})


def test_an_error_of_the_caller_calls_it_off(server: ScriptedServer, simulate: Simulate) -> None:
    server.answer_in_turn(told({"event": "progress", "jobs": 1}, {"event": "result"}))

    def stop(line: dict[str, Any]) -> None:
        raise KeyError(line["event"])

    with pytest.raises(KeyError, match="progress"):
        simulate(server.url, draft={}, on_progress=stop)
