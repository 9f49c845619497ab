"""SIGTERM with 1,000 calls in flight (scenario 9)."""

import signal
from collections.abc import Callable

import sqlalchemy as sa

from synthralos.broker.queues import BATCH
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import Lane, Stage, State
from synthralos.store.tables import all_attempts, all_jobs, processes
from tests.faults.harness import Site

_CALLS = 1000


def test_a_worker_that_has_to_stop_gives_a_thousand_calls_back(make_site: Callable[..., Site]) -> None:
    """They do not end before the drain's deadline: all are released, on the books, and done by another worker."""
    site = make_site(drain_timeout=1, ring_again_after=30)
    site.scheduler()
    worker = site.worker()
    site.provider.behave(hang=True)
    site.submit(_CALLS)
    site.provider.wait_for_calls(_CALLS)
    site.provider.reset()
    stopping, before = worker.worker_id(), site.doorbell.depth(Stage.EXECUTE, Lane.BULK) or 0
    assert worker.terminate(timeout=40) == 0
    rung = site.doorbell.depth(Stage.EXECUTE, Lane.BULK)
    assert rung is not None
    assert rung - before >= _CALLS // BATCH, "the released jobs were not all rung for"
    released = sa.select(sa.func.count()).where(all_jobs.c.state == State.QUEUED, all_jobs.c.losses == 0)
    assert site.query(released)[0][0] == _CALLS
    assert site.query(sa.select(processes.c.state).where(processes.c.id == stopping))[0].state == "stopped"
    site.worker()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: _CALLS}
    ends = sa.select(
        all_attempts.c.attempt_no, all_attempts.c.outcome, all_attempts.c.billed, sa.func.count()
    ).group_by(all_attempts.c.attempt_no, all_attempts.c.outcome, all_attempts.c.billed)
    assert sorted(map(tuple, site.query(ends))) == [
        (1, Outcome.CANCELLED, Billed.MAYBE, _CALLS),
        (2, Outcome.SUCCEEDED, Billed.YES, _CALLS),
    ]


def test_a_worker_that_has_to_stop_brings_a_thousand_calls_home_in_time(make_site: Callable[..., Site]) -> None:
    """They end within the drain's deadline: nothing is released, nothing is repeated."""
    site = make_site(drain_timeout=60)
    site.scheduler()
    worker = site.worker()
    site.provider.behave(hang=True)
    site.submit(_CALLS)
    site.provider.wait_for_calls(_CALLS)
    stopping = worker.worker_id()
    worker.signal(signal.SIGTERM)
    state = sa.select(processes.c.state).where(processes.c.id == stopping)
    site.eventually(lambda: site.query(state)[0].state == "draining", "the worker drains")
    late = site.submit(5)
    site.provider.release()
    assert worker.wait() == 0
    assert site.states() == {State.SUCCEEDED: _CALLS, State.QUEUED: len(late)}
    site.provider.reset()
    site.worker()
    site.check_promises()
    assert len(site.provider.bill()) == _CALLS + len(late)


def test_a_worker_that_waits_for_its_database_stops_when_it_is_told_to(make_site: Callable[..., Site]) -> None:
    site = make_site()
    worker = site.worker(database_url=f"{site.settings['database_url']}_is_not_there")
    site.eventually(lambda: "no such database" in worker.tail(), "the worker has found no database")
    assert worker.terminate(timeout=60) == 0
    assert "told to stop before the database was there" in worker.tail()
