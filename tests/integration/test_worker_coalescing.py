"""Jobs on real workers that share calls: on the books one by one, and together no more than the provider's bill."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from synthralos.bus.protocol import Topic
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deployments import Capability, Catalog
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.jobs import Constraints, NewJob, Request, Tenant
from synthralos.domain.money import Price, Rates
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from tests.fakes.jobs import ACME, new_job
from tests.fakes.stores import Store
from tests.fakes.vector_server import POISON, VectorServer, vector_of, vector_server
from tests.integration.worker_place import WorkerPlace, deployments_at, everybody_left, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def server() -> Iterator[VectorServer]:
    with vector_server() as running:
        yield running


def catalog(server: VectorServer, **more: Any) -> Catalog:
    makes = frozenset({Capability.EMBEDDINGS})
    [deployment] = deployments_at(server.url, "vectors", capabilities=makes, options={"joint_inputs": 200}, **more)
    return Catalog([replace(deployment, price=Price(Decimal("0.000001"), Decimal(0)))])


def embedding(text: str, tenant: Tenant = ACME, **constraints: Any) -> NewJob:
    job = new_job(model="fake/vectors", tenant=tenant, constraints=Constraints(**constraints))
    job.request = Request(job.request.model, {"kind": "embedding", "input": text})
    return job


def test_embeddings_of_a_workspace_share_calls_and_their_costs_are_the_bill(
    place: WorkerPlace, server: VectorServer
) -> None:
    place.worker(catalog(server))
    texts = [f"text {'x' * number}" for number in range(60)]
    ids = place.submit(*map(embedding, texts))
    assert set(place.finished(*ids)) == {State.SUCCEEDED}
    assert [place.store.job(i)["result"]["embeddings"] for i in ids] == [[vector_of(text)] for text in texts]
    attempts = [place.store.attempts(i) for i in ids]
    assert [len(each) for each in attempts] == [1] * 60
    assert {(a["outcome"], a["billed"]) for [a] in attempts} == {(Outcome.SUCCEEDED, Billed.YES)}
    assert len(server.billed) < 10
    assert sum(a["input_tokens"] for [a] in attempts) == sum(server.billed)
    assert sum(a["cost_picousd"] for [a] in attempts) == Decimal(sum(server.billed)).scaleb(-12)


def test_a_poisoned_text_fails_one_job_and_no_neighbor(place: WorkerPlace, server: VectorServer) -> None:
    place.worker(catalog(server))
    jobs = [embedding(f"text {number}") for number in range(10)]
    poisoned = embedding(POISON, max_attempts=1)
    ids = place.submit(*jobs[:5], poisoned, *jobs[5:])
    place.finished(*ids)
    assert [i for i in ids if place.store.state(i) == State.FAILED] == [poisoned.id]
    assert all(len(place.store.attempts(i)) == 1 for i in ids)
    [lost] = place.store.attempts(poisoned.id)
    assert (lost["billed"], lost["cost_picousd"]) == (Billed.NO, 0)


def test_a_call_that_broke_is_made_again_for_each_job_alone(place: WorkerPlace, server: VectorServer) -> None:
    server.failing = 1
    place.worker(catalog(server))
    ids = place.submit(*[embedding(f"text {number}") for number in range(3)])
    place.heard.until(lambda: all(place.store.state(i) in (State.PARKED, State.SUCCEEDED) for i in ids))
    parked = [i for i in ids if place.store.state(i) == State.PARKED]
    before = len(server.sizes)
    for job_id in parked:
        place.store.backdate(job_id, run_at=1)
    for step in place.store.sweeps.wake_due():
        place.ring(step.stage, step.id)
    assert set(place.finished(*ids)) == {State.SUCCEEDED}
    assert server.sizes[before:] == [1] * len(parked)


@pytest.mark.parametrize(
    ("others", "flags"),
    [
        (
            [
                embedding("b", Tenant("acme", "other", "ann", "pro")),
                embedding("c", Tenant("globex", "main", "eve", "pro")),
            ],
            None,
        ),
        ([embedding("b", classification="none"), embedding("c", coalesce="never")], None),
        ([embedding("b"), embedding("c")], Flags({Flag.ENABLE_COALESCING: FlagState(False)})),
    ],
    ids=["other tenants", "another class and one that refuses", "the flag is off"],
)
def test_who_may_not_share_a_call_does_not(
    place: WorkerPlace, server: VectorServer, others: list[NewJob], flags: Flags | None
) -> None:
    place.start(place.core(catalog(server), flags=flags))
    ids = place.submit(embedding("a"), *others)
    assert set(place.finished(*ids)) == {State.SUCCEEDED}
    assert server.sizes == [1, 1, 1]


def test_a_price_that_depends_on_the_length_is_never_split(place: WorkerPlace, server: VectorServer) -> None:
    [deployment] = catalog(server)
    price = Price(Decimal("0.000001"), Decimal(0), above=((3, Rates(Decimal(1), Decimal(1))),))
    place.worker(Catalog([replace(deployment, price=price)]))
    ids = place.submit(embedding("a"), embedding("b"))
    assert set(place.finished(*ids)) == {State.SUCCEEDED}
    assert server.sizes == [1, 1]


def chat(text: str = "Name three rivers", delay: float = 0.2, **constraints: Any) -> NewJob:
    return new_job(text, constraints=Constraints(**constraints), provider_options={"sandbox": {"delay_seconds": delay}})


def test_equal_chats_in_flight_are_paid_once_and_say_whose_answer_they_have(place: WorkerPlace) -> None:
    place.worker()
    ids = place.submit(*[chat(coalesce="allow") for _ in range(5)])
    assert set(place.finished(*ids)) == {State.SUCCEEDED}
    paid = [i for i in ids if place.store.attempts(i)]
    assert len(paid) == 1
    results = [place.store.job(i)["result"] for i in ids]
    assert len({result["text"] for result in results}) == 1
    assert [result.get("reused_from") for result in results].count(paid[0]) == 4


def test_equal_chats_that_do_not_ask_for_it_are_paid_each(place: WorkerPlace) -> None:
    place.worker()
    ids = place.submit(*[chat(delay=0.0) for _ in range(3)])
    place.finished(*ids)
    assert [len(place.store.attempts(i)) for i in ids] == [1, 1, 1]


def test_a_job_that_waits_for_an_equal_one_can_be_cancelled(place: WorkerPlace) -> None:
    worker = place.worker()
    first, second = place.submit(chat(delay=60.0, coalesce="allow"), chat(delay=60.0, coalesce="allow"))
    place.heard.until(lambda: any(place.store.state(i) == State.ACTIVE for i in (first, second)))
    waiting = next(i for i in (first, second) if place.store.state(i) != State.ACTIVE)
    calling = first if waiting == second else second
    place.store.operations.cancel(waiting, EVERYTHING, "ann")
    place.bus.publish(Topic.CLAIM_REVOKED, [waiting])
    assert place.store.state(waiting) == State.CANCELLED
    assert place.store.state(calling) == State.ACTIVE
    place.store.operations.cancel(calling, EVERYTHING, "ann")
    place.bus.publish(Topic.CLAIM_REVOKED, [calling])
    everybody_left(worker)
