"""Workers before a provider that limits: what they learn they share, what must wait waits, and nothing fails."""

from collections.abc import Iterator

import pytest

from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.quotas import QuotaStore
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

NAME = "fake/first"


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


@pytest.fixture
def server(provider: FakeOpenAIProcess) -> FakeOpenAIProcess:
    provider.reset()
    return provider


def _calls(server: FakeOpenAIProcess) -> int:
    return len(server.bill())


def test_a_refusal_closes_the_quota_for_all_workers_and_what_waits_is_no_attempt(
    place: WorkerPlace, server: FakeOpenAIProcess
) -> None:
    store = QuotaStore(place.store.database)
    server.behave(model="first", status=429, headers={"Retry-After": "300, 20"}, body={"error": {"message": "slow"}})
    catalog = deployments_at(server.base_url, "first")
    place.worker(catalog)
    [refused] = place.submit(new_job("Hi", model="auto"))
    place.reaches(refused, State.PARKED)

    def closed() -> bool:
        found = store.get(NAME)
        return found is not None and found.closed_until - store.all()[1] > 200

    place.heard.until(closed)
    before = _calls(server)
    place.worker(catalog)  # rings go to this one from now on
    later = place.submit(*(new_job("Hi", model="auto") for _ in range(5)))
    place.heard.until(lambda: all(place.store.state(job_id) == State.PARKED for job_id in later))
    assert "slow" in place.store.job(later[0])["failure"]["message"]
    assert not place.store.reader.histories(later)[later[0]]
    assert _calls(server) <= before + 1  # one may have been under way before this worker heard of it
    server.reset()
    store.reset(NAME, By("ann"))

    def done() -> bool:
        for job_id in (refused, *later):
            if place.store.state(job_id) == State.PARKED:
                place.wake(job_id)
        return all(place.store.state(job_id) == State.SUCCEEDED for job_id in (refused, *later))

    place.heard.until(done)


def test_where_one_quota_is_closed_the_jobs_go_on_with_their_plan(
    place: WorkerPlace, server: FakeOpenAIProcess
) -> None:
    QuotaStore(place.store.database).refuse(NAME, 300.0, "full", ())
    place.worker(deployments_at(server.base_url, "first", "second"))
    job_ids = place.submit(*(new_job("Hi", model="auto") for _ in range(3)))
    assert place.finished(*job_ids) == [State.SUCCEEDED] * 3
    assert {line["model"] for line in server.bill()[-3:]} == {"second"}


def test_what_headers_tell_and_the_catalog_declares_is_kept_to(place: WorkerPlace, server: FakeOpenAIProcess) -> None:
    told = {"x-ratelimit-limit-tokens": "900000", "x-ratelimit-remaining-tokens": "899000"}
    server.behave(model="first", headers=told)
    store, before = QuotaStore(place.store.database), _calls(server)
    place.worker(deployments_at(server.base_url, "first", rpm=1_200))  # 20 a second
    began = store.all()[1]
    job_ids = place.submit(*(new_job("Hi", model="auto") for _ in range(60)))

    def done() -> bool:
        for job_id in job_ids:
            if place.store.state(job_id) == State.PARKED:
                place.wake(job_id)
        return all(place.store.state(job_id) == State.SUCCEEDED for job_id in job_ids)

    place.heard.until(done)
    took = store.all()[1] - began
    assert _calls(server) - before == 60
    assert took > 60 / 20 - 2.1  # what was saved up, is granted ahead, and taken on credit
    found = store.get(NAME)
    assert found is not None
    assert found.buckets[Unit.TOKENS].limit == Left(Unit.TOKENS, 900_000, 899_000).limit
