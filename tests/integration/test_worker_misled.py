"""Whole jobs at a provider that answers strangely: what it sends is no bug of ours, and what was paid for is kept."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed
from synthralos.domain.jobs import Constraints
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
PAID = Decimal("0.00012")


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


@pytest.fixture
def strange(server: FakeOpenAIProcess) -> Iterator[FakeOpenAIProcess]:
    server.reset()
    yield server
    server.reset()


def run(place: WorkerPlace, server: FakeOpenAIProcess, *names: str, **constraints: Any) -> dict[str, Any]:
    place.worker(deployments_at(server.base_url, *names))
    return place.run(new_job(constraints=Constraints(**constraints)))


def answer(content: str) -> str:
    return f'{{"choices": [{{"message": {{"content": {content}}}}}], "usage": {json.dumps(USAGE)}}}'


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 404, "body": {"error": {"message": "no", "code": "model_not_found"}}},
        {"status": 404, "raw": "404 page not found"},
        {"status": 410},
        {"status": 405},
        {"status": 400, "body": {"error": {"message": "Unsupported parameter: 'seed' is not supported"}}},
        {"status": 200, "billed": False, "body": {"error": {"message": "no such model", "code": 404}}},
    ],
)
def test_a_refusal_that_is_about_the_deployment_goes_on_with_the_plan(
    place: WorkerPlace, strange: FakeOpenAIProcess, refusal: dict[str, Any]
) -> None:
    strange.behave("a", **refusal)
    job = run(place, strange, "a", "b")
    first, second = place.store.attempts(job["id"])
    assert job["state"] == State.SUCCEEDED
    assert (first["billed"], first["cost_picousd"]) == (Billed.NO, 0)
    assert second["deployment"] == "fake/b@us"


def test_a_job_that_all_deployments_refuse_fails(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    strange.behave(status=404)
    job = run(place, strange, "a", "b")
    assert job["state"] == State.FAILED
    assert len(place.store.attempts(job["id"])) == 2


def test_a_paid_answer_with_half_a_character_is_kept(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    strange.behave(raw=answer(r'"smile \ud83d cut"'))
    job = run(place, strange, "a")
    [attempt] = place.store.attempts(job["id"])
    assert job["state"] == State.SUCCEEDED
    assert job["result"]["text"].startswith("smile ")
    assert (attempt["billed"], attempt["input_tokens"]) == (Billed.YES, 100)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 3_000_000_000, "completion_tokens": 1}, {"prompt_tokens": 2**31}])
def test_figures_that_cannot_be_true_lose_no_answer(
    place: WorkerPlace, strange: FakeOpenAIProcess, usage: dict[str, int]
) -> None:
    strange.behave(raw=json.dumps({"choices": [{"message": {"content": "fine"}}], "usage": usage}))
    job = run(place, strange, "a")
    [attempt] = place.store.attempts(job["id"])
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, "fine")
    assert (attempt["billed"], attempt["cost_picousd"]) == (Billed.YES, None)
    assert not place.store.reader.jobs([job["id"]], EVERYTHING)[job["id"]]["cost_known"]


def test_tool_calls_that_are_nested_too_deeply_lose_no_answer(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    strange.behave(raw=answer('"fine", "tool_calls": [{"id": "t", "extra": ' + "[" * 900 + "]" * 900 + "}]"))
    job = run(place, strange, "a")
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, "fine")
    assert len(place.store.attempts(job["id"])) == 1


def test_the_usage_of_an_answer_that_cannot_be_kept_is_booked(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    strange.behave("a", raw=answer('"cut')[:-1])
    job = run(place, strange, "a", "b")
    first, _ = place.store.attempts(job["id"])
    assert job["state"] == State.SUCCEEDED
    assert (first["billed"], first["cost_picousd"]) == (Billed.YES, PAID)


def test_a_long_wish_leaves_the_job_to_a_healthy_deployment(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    strange.behave("a", status=503, headers={"Retry-After": "120"})
    assert run(place, strange, "a", "b")["state"] == State.SUCCEEDED


@pytest.mark.parametrize(
    "wish", ["Fri, 31 Dec 99999999999999999999 23:59:59 GMT", "Fri, 1 Jan 2027 0:0:0 +99999999999"]
)
def test_a_wish_that_cannot_be_understood_is_none(place: WorkerPlace, strange: FakeOpenAIProcess, wish: str) -> None:
    strange.behave("a", status=429, headers={"Retry-After": wish})
    assert run(place, strange, "a", "b")["state"] == State.SUCCEEDED


def test_deployments_that_nobody_reaches_use_up_no_attempts(place: WorkerPlace, strange: FakeOpenAIProcess) -> None:
    dead = deployments_at("http://127.0.0.1:9/v1", "a", "b")
    alive = deployments_at(strange.base_url, "x", "y", "c")
    place.worker(type(dead)([*dead, alive.get("fake/c@us")]))
    [job_id] = place.submit(new_job(constraints=Constraints(max_attempts=1)))
    for _ in range(2):  # a short wait at each dead deployment
        place.reaches(job_id, State.PARKED)
        place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
