"""Embedding jobs on real workers: guarded, routed, paid for by their prompt, and stored."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed
from synthralos.domain.jobs import Constraints, NewJob, Request
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

TEXTS = ["the river in Paris", "the river in Rome", "accounting rules"]


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def an_embedding(texts: str | list[str], *, options: dict[str, Any] | None = None, **constraints: Any) -> NewJob:
    job = new_job(model="sandbox/embedding", constraints=Constraints(**constraints))
    job.request = Request(job.request.model, {"kind": "embedding", "input": texts, "dimensions": 32}, options or {})
    return job


def test_an_embedding_is_guarded_priced_by_its_prompt_and_stored(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(an_embedding(TEXTS))
    result = job["result"]
    assert job["state"] == State.SUCCEEDED
    assert [len(vector) for vector in result["embeddings"]] == [32, 32, 32]
    assert (result["text"], result["usage"]["output"]) == (None, 0)
    [attempt] = place.store.attempts(job["id"])
    assert attempt["billed"] == Billed.YES
    assert attempt["cost_picousd"] == result["usage"]["input"] * Decimal("0.02") / 1_000_000
    first, second, third = result["embeddings"]
    likeness = [sum(a * b for a, b in zip(first, other, strict=True)) for other in (second, third)]
    assert likeness[0] > likeness[1]


def test_equal_embeddings_share_a_result_where_that_is_allowed(place: WorkerPlace) -> None:
    place.worker()
    first = place.run(an_embedding(TEXTS))
    second = place.run(an_embedding(TEXTS, reuse="allow"))
    other = place.run(an_embedding(TEXTS[:2], reuse="allow"))
    assert second["result"]["reused_from"] == first["id"]
    assert second["result"]["embeddings"] == first["result"]["embeddings"]
    assert place.store.attempts(second["id"]) == []
    assert len(place.store.attempts(other["id"])) == 1


def test_money_that_does_not_allow_the_prompt_is_not_spent(place: WorkerPlace) -> None:
    place.worker()
    denied = place.run(an_embedding("word " * 4_000, max_cost=Decimal("0.00001")))
    allowed = place.run(an_embedding("word " * 4_000, max_cost=Decimal("0.001")))
    assert (denied["state"], denied["failure"]["class"]) == (State.FAILED, "budget")
    assert place.store.attempts(denied["id"]) == []
    assert allowed["state"] == State.SUCCEEDED


def test_a_provider_never_sees_private_values_of_its_texts(place: WorkerPlace) -> None:
    place.worker()
    plain = place.run(an_embedding("write to [EMAIL_1] today"))
    redacted = place.run(an_embedding("write to jane.doe@example.com today", private_data="redact"))
    assert redacted["result"]["embeddings"] == plain["result"]["embeddings"]


def test_a_failed_embedding_is_healed_like_any_job(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(an_embedding("x", options={"sandbox": {"failures": ["invalid_request"]}}))
    assert (job["state"], job["failure"]["class"]) == (State.FAILED, "invalid_request")
