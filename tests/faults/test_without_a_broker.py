"""Where the database rings by itself, the promises are the same: a lost ring costs a moment, and never a job."""

from collections.abc import Callable

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import Lane, State
from tests.faults.harness import Site


@pytest.fixture
def brokerless(make_site: Callable[..., Site], migrated_postgres_database: str) -> Site:
    """A site with two workers and a scheduler, and nothing but its database between them."""
    site = make_site(broker_url=migrated_postgres_database)
    site.scheduler()
    return site


def test_jobs_are_done_by_all_workers(brokerless: Site) -> None:
    workers = [brokerless.worker(), brokerless.worker()]
    for _ in range(8):
        brokerless.submit(50)
    brokerless.submit(10, lane=Lane.INTERACTIVE)
    brokerless.check_promises()
    assert brokerless.states() == {State.SUCCEEDED: 410}
    assert all(worker.runs() for worker in workers)


def test_what_was_rung_before_any_worker_lived_is_done(brokerless: Site) -> None:
    brokerless.submit(100)
    brokerless.worker()
    brokerless.check_promises()
    assert brokerless.states() == {State.SUCCEEDED: 100}


def test_a_worker_killed_with_its_rings_in_memory_loses_no_job(brokerless: Site) -> None:
    brokerless.provider.behave(hang=True)
    doomed = brokerless.worker()
    brokerless.submit(300)
    brokerless.provider.wait_for_calls(100)
    doomed.kill()
    brokerless.provider.reset()
    brokerless.provider.release()
    brokerless.worker()
    brokerless.check_promises()
    assert brokerless.states() == {State.SUCCEEDED: 300}
    lost = [a for job_id in brokerless.accepted for a in brokerless.attempts(job_id) if a.outcome == Outcome.LOST]
    assert len(lost) >= 100
    assert {a.billed for a in lost} == {Billed.MAYBE}


def test_a_worker_that_shuts_down_hands_its_rings_to_another(brokerless: Site) -> None:
    leaving = brokerless.worker()
    brokerless.submit(200)
    brokerless.provider.wait_for_calls(1)
    brokerless.submit(200)
    brokerless.worker()
    assert leaving.terminate() == 0
    brokerless.check_promises()
    assert brokerless.states() == {State.SUCCEEDED: 400}
