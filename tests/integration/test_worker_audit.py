"""A living worker forgets no job for good: what it holds and does not have under way is given back, and done."""

from collections.abc import Iterator

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import State
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


def test_a_job_that_its_worker_forgot_is_given_back_and_done_with_both_calls_in_the_ledger(
    place: WorkerPlace, server: FakeOpenAIProcess
) -> None:
    server.behave(hang=True)
    runtime = place.worker(deployments_at(server.base_url, "a")).runtime
    [job_id] = place.submit()
    server.wait_for_calls(1)
    server.reset()
    runtime.registry._running.clear()
    for _ in range(2):
        runtime._thread.run(runtime._audit.round(), 30)
    assert place.finished(job_id) == [State.SUCCEEDED]
    lost, done = place.store.attempts(job_id)
    assert (lost["outcome"], lost["billed"], done["outcome"]) == (Outcome.LOST, Billed.MAYBE, Outcome.SUCCEEDED)
    assert place.store.job(job_id)["losses"] == 1
    server.release()
