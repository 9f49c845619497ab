"""Workers that share circuit breakers: what one finds, the others go by, and what is mended is found by probes."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from synthralos.domain.breakers import BreakerState
from synthralos.domain.states import State
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import breakers
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

FIRST, SECOND = "fake/first@us", "fake/second@us"


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


def _calls(server: FakeOpenAIProcess, model: str) -> int:
    return sum(line["model"] == model for line in server.bill())


def _knows(place: WorkerPlace, store: BreakerStore, state: BreakerState) -> None:
    def found() -> bool:
        breaker = store.get(FIRST)
        return breaker is not None and breaker.state is state

    place.heard.until(found)


def _finish(place: WorkerPlace, job_ids: list[str]) -> None:
    """Wait until all have succeeded; those that wait for a time are woken at once."""

    def done() -> bool:
        for job_id in job_ids:
            if place.store.state(job_id) == State.PARKED:
                place.wake(job_id)
        return all(place.store.state(job_id) == State.SUCCEEDED for job_id in job_ids)

    place.heard.until(done)


def test_what_one_worker_finds_another_goes_by_and_nothing_fails(place: WorkerPlace, server: FakeOpenAIProcess) -> None:
    store = BreakerStore(place.store.database)
    server.behave(model="first", status=500)
    catalog = deployments_at(server.base_url, "first", "second")
    place.worker(catalog)
    for _ in range(4):
        _finish(place, place.submit(new_job("Hi", model="auto")))
    _knows(place, store, BreakerState.OPEN)
    wasted = _calls(server, "first")
    assert wasted <= 10
    place.worker(catalog)  # rings go to this one from now on
    job_ids = place.submit(*(new_job("Hi", model="auto") for _ in range(20)))
    _finish(place, job_ids)
    assert _calls(server, "first") == wasted


def test_what_works_again_is_found_by_probes(place: WorkerPlace, server: FakeOpenAIProcess) -> None:
    store = BreakerStore(place.store.database)
    store.broken(FIRST, "away", "test")
    with place.store.database.transaction() as connection:
        connection.execute(sa.update(breakers).values(until=utcnow()))
    place.worker(deployments_at(server.base_url, "first", "second"))

    def closed() -> bool:
        place.run(new_job("Hi", model="auto"))
        found = store.get(FIRST)
        return found is not None and found.state is BreakerState.CLOSED

    place.heard.until(closed)
    assert _calls(server, "first") >= 7


def test_a_job_without_another_deployment_waits_and_is_done_when_it_works(
    place: WorkerPlace, server: FakeOpenAIProcess
) -> None:
    store = BreakerStore(place.store.database)
    store.broken(FIRST, "away", "test")
    place.worker(deployments_at(server.base_url, "first"))
    [job_id] = place.submit(new_job("Hi", model="auto"))
    place.reaches(job_id, State.PARKED)
    assert "away" in place.store.job(job_id)["failure"]["message"]
    assert not server.bill()
    with place.store.database.transaction() as connection:
        connection.execute(sa.update(breakers).values(until=utcnow()))

    _finish(place, [job_id])
    assert len(place.store.reader.histories([job_id])[job_id]) == 1
