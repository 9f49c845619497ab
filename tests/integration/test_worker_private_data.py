"""Private data on real workers: what a provider gets to see, what comes back, and what stays in the books."""

import json
from collections.abc import Iterator

import pytest

from synthralos.domain.findings import Decision
from synthralos.domain.jobs import Constraints
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

EMAIL = "jo@example.com"
REDACTED = Constraints(private_data="redact")
RESTORED = Constraints(private_data="redact", restore=True)


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def echo(asked: Asked) -> Answer:
    said = asked.json()["messages"][-1]["content"]
    message = {"role": "assistant", "content": f"You said: {said}"}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def overloaded_once(asked: Asked) -> Answer:
    key = asked.headers.get("Idempotency-Key") or asked.headers["idempotency-key"]
    return Answer(429, {"error": {"message": f"not {json.dumps(asked.json())}"}}) if key.endswith("/1") else echo(asked)


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = echo
        yield server


def test_the_provider_sees_placeholders_and_the_answer_keeps_them(place: WorkerPlace, provider: ScriptedServer) -> None:
    place.worker(deployments_at(f"{provider.url}/v1", "a"))
    job = place.run(new_job(f"Write to {EMAIL}", constraints=REDACTED))
    [asked] = provider.asked
    assert asked.json()["messages"][-1]["content"] == "Write to [EMAIL_1]"
    assert job["result"]["text"] == "You said: Write to [EMAIL_1]"
    assert job["verdict"]["decision"] == Decision.FLAG
    assert EMAIL not in json.dumps(job["verdict"])


def test_values_are_put_back_where_asked(place: WorkerPlace, provider: ScriptedServer) -> None:
    place.worker(deployments_at(f"{provider.url}/v1", "a"))
    job = place.run(new_job(f"Write to {EMAIL}", constraints=RESTORED))
    assert EMAIL not in provider.asked[0].body.decode()
    assert job["result"]["text"] == f"You said: Write to {EMAIL}"


def test_a_job_that_waits_is_redacted_by_whoever_goes_on_with_it(place: WorkerPlace, provider: ScriptedServer) -> None:
    """The second worker does not guard the job again: it goes by the stored verdict."""
    provider.script = overloaded_once
    catalog = deployments_at(f"{provider.url}/v1", "a")
    first = place.worker(catalog)
    [job_id] = place.submit(new_job(f"Write to {EMAIL}", constraints=RESTORED))
    place.reaches(job_id, State.PARKED)
    place.stop(first)
    place.worker(catalog)
    place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    job = place.store.job(job_id)
    assert len(provider.asked) == 2
    assert EMAIL not in "".join(asked.body.decode() for asked in provider.asked)
    assert job["result"]["text"] == f"You said: Write to {EMAIL}"
    assert EMAIL not in json.dumps(place.store.attempts(job_id), default=str)
    assert job["verdict"]["findings"][0]["signals"]["redacted"] == ["email"]


def test_a_job_with_a_cap_on_its_cost_is_redacted_too(place: WorkerPlace, provider: ScriptedServer) -> None:
    place.worker(deployments_at(f"{provider.url}/v1", "a"))
    job = place.run(new_job(f"Write to {EMAIL}", constraints=Constraints(private_data="redact", max_cost=1)))
    assert job["state"] == State.SUCCEEDED
    assert EMAIL not in provider.asked[0].body.decode()


def test_refused_is_never_sent(place: WorkerPlace, provider: ScriptedServer) -> None:
    place.worker(deployments_at(f"{provider.url}/v1", "a"))
    job = place.run(new_job(f"Write to {EMAIL}", constraints=Constraints(private_data="refuse")))
    assert (job["state"], provider.asked) == (State.DENIED, [])
