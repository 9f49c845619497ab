"""Answers that do not fit their schema, on real workers: billed, asked for again, and never a result."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deployments import Capability
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
JSON = frozenset({Capability.JSON_MODE, Capability.TOOLS})
FITTING = '{"city": "Bern"}'


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture(scope="module")
def running() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


@pytest.fixture
def server(running: FakeOpenAIProcess) -> Iterator[FakeOpenAIProcess]:
    running.reset()
    yield running
    running.reset()


def a_job(**constraints: Any) -> NewJob:
    return new_job("Which city?", constraints=Constraints(**constraints), body={"response_format": FORMAT})


def test_a_misfit_is_paid_for_and_the_next_deployment_asked(place: WorkerPlace, server: FakeOpenAIProcess) -> None:
    server.behave("a", text='{"town": "Bern"}', usage=USAGE)
    server.behave("b", text=FITTING, usage=USAGE)
    place.worker(deployments_at(server.base_url, "a", "b", capabilities=JSON))
    [job_id] = place.submit(a_job())
    assert place.finished(job_id) == [State.SUCCEEDED]
    first, second, third = place.store.attempts(job_id)
    assert [each["deployment"] for each in (first, second, third)] == ["fake/a@us", "fake/a@us", "fake/b@us"]
    assert {(each["outcome"], each["billed"]) for each in (first, second)} == {(Outcome.FAILED, Billed.YES)}
    assert first["cost_picousd"] == second["cost_picousd"] == Decimal("0.00012")
    assert first["failure"]["class"] == "schema_mismatch"
    assert "at its top: required" in first["failure"]["message"]
    assert "Bern" not in json.dumps(first["failure"])
    assert place.store.job(job_id)["result"]["text"] == FITTING


def test_a_misfit_without_usage_is_billed_at_a_cost_that_nobody_knows(
    place: WorkerPlace, server: FakeOpenAIProcess
) -> None:
    server.behave("a", text="Bern", usage=False)
    place.worker(deployments_at(server.base_url, "a", capabilities=JSON))
    job = place.run(a_job(fallback=False, max_attempts=1))
    [attempt] = place.store.attempts(job["id"])
    assert job["state"] == State.FAILED
    assert (attempt["billed"], attempt["cost_picousd"]) == (Billed.YES, None)


def test_what_fits_and_calls_of_tools_are_results(place: WorkerPlace, server: FakeOpenAIProcess) -> None:
    place.worker(deployments_at(server.base_url, "a", capabilities=JSON))
    server.behave("a", text=FITTING)
    assert place.run(a_job())["state"] == State.SUCCEEDED
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    server.behave("a", tool_calls=[call])
    job = place.run(a_job())
    assert job["state"] == State.SUCCEEDED
    assert len(place.store.attempts(job["id"])) == 1


def test_a_misfit_of_the_sandbox_heals_at_the_next_attempt_and_both_are_in_the_ledger(place: WorkerPlace) -> None:
    place.worker()
    told = {"sandbox": {"failures": ["schema_mismatch"]}}
    [job_id] = place.submit(new_job("Which city?", provider_options=told, body={"response_format": FORMAT}))
    assert place.finished(job_id) == [State.SUCCEEDED]
    first, second = place.store.attempts(job_id)
    assert (first["outcome"], second["outcome"]) == (Outcome.FAILED, Outcome.SUCCEEDED)
    assert (first["billed"], second["billed"]) == (Billed.YES, Billed.YES)
    assert first["failure"]["class"] == "schema_mismatch"
    assert "required 'city'" in first["failure"]["message"]
    assert first["cost_picousd"] > 0
    assert second["cost_picousd"] > first["cost_picousd"]
    assert set(json.loads(place.store.job(job_id)["result"]["text"])) == {"city"}


def test_a_job_whose_schema_cannot_be_used_fails_without_a_call(place: WorkerPlace) -> None:
    """Taken in by a release that did not look at schemas."""
    place.worker()
    remote = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "https://example.com/a"}}}
    job = place.run(new_job("Which city?", body={"response_format": remote}))
    assert job["state"] == State.FAILED
    assert {(each["billed"], each["cost_picousd"]) for each in place.store.attempts(job["id"])} == {(Billed.NO, 0)}


def test_the_sandbox_answers_in_the_form(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(a_job())
    assert job["state"] == State.SUCCEEDED
    assert set(json.loads(job["result"]["text"])) == {"city"}
    assert len(place.store.attempts(job["id"])) == 1
