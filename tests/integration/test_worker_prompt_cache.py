"""Prompt-cache affinity on real workers: what an answer says of the cache decides where the next job goes."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.money import Price
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

TEXT = "Summarize the report below. " * 200


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def answer_reading(tokens: int) -> Answer:
    usage = {"prompt_tokens": 1_400, "completion_tokens": 5, "total_tokens": 1_405}
    details = {"prompt_tokens_details": {"cached_tokens": tokens}}
    choices = [{"message": {"role": "assistant", "content": "Done"}, "finish_reason": "stop"}]
    return Answer(200, {"choices": choices, "usage": {**usage, **details}})


def test_a_job_goes_where_its_beginning_was_read_from_the_cache(place: WorkerPlace, provider: ScriptedServer) -> None:
    cheap, dear = deployments_at(f"{provider.url}/v1", "cheap", "dear")
    prices = [Price(Decimal(each), Decimal(2), cached=Decimal("0.1"), as_of="2026-01-01") for each in (1, 2)]
    catalog = Catalog([replace(cheap, price=prices[0]), replace(dear, price=prices[1])])
    place.start(place.core(catalog))
    read = [0]

    def said(asked: Asked) -> Answer:
        return answer_reading(read[0])

    def went(**wanted: str) -> str:
        job = place.run(new_job(TEXT, constraints=Constraints(**wanted)))
        assert job["state"] == State.SUCCEEDED
        [line] = place.store.cost_logs(job["id"])
        return str(line["deployment"])

    provider.script = said
    assert [went(pin=dear.id), went()] == [dear.id, cheap.id]
    read[0] = 1_280
    assert [went(pin=dear.id), went()] == [dear.id, dear.id]
    assert len(provider.asked) == 4
    assert all(TEXT in orjson.loads(asked.body)["messages"][0]["content"] for asked in provider.asked)
