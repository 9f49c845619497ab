"""Cancelling, sweeping and completing at the same moment (scenario 11)."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Topic
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.queue.operations import Changed, Operations, Refused
from synthralos.store.queue.sweeps import Sweeps
from synthralos.store.sql.database import Database
from synthralos.store.tables import all_attempts, all_jobs
from tests.faults.harness import Site
from tests.faults.harness_gates import CANCEL, RESCUE, SETTLE, gate, waits_for_rows

_ROUNDS, _JOBS, _THREADS = 5, 100, 8


def test_cancelling_races_completion_many_times(make_site: Callable[..., Site]) -> None:
    """Half of the calls end by themselves while all jobs are being cancelled; one side wins each job, never both."""
    site = make_site()
    site.scheduler()
    site.worker()
    operations, bus = Operations(site.database), build_bus(site.database)
    for number in range(1, _ROUNDS + 1):
        site.provider.behave(hang=True)
        ids = site.submit(_JOBS)
        site.provider.wait_for_calls(number * _JOBS)
        barrier = threading.Barrier(_THREADS + 1)

        def cancel(some: list[str], barrier: threading.Barrier = barrier) -> list[Changed | Refused | None]:
            barrier.wait()
            answers = []
            for job_id in some:
                answers.append(operations.cancel(job_id, EVERYTHING, "a test"))
                bus.publish(Topic.CLAIM_REVOKED, [job_id])
            return answers

        with ThreadPoolExecutor(_THREADS) as pool:
            asked = [pool.submit(cancel, ids[start::_THREADS]) for start in range(_THREADS)]
            barrier.wait()
            site.provider.release()
            answers = [answer for each in asked for answer in each.result()]
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        site.wait_until_done()
        succeeded = [job_id for job_id in ids if site.job(job_id).state == State.SUCCEEDED]
        assert len(succeeded) == len(refused), "whoever was told that it was cancelled must find it cancelled"
    site.check_promises()
    assert set(site.states()) <= {State.SUCCEEDED, State.CANCELLED}


def test_a_result_that_is_being_committed_wins_over_a_cancellation(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    site.worker()
    operations = Operations(site.database)
    with gate(site, SETTLE, at="commit") as held, ThreadPoolExecutor(1) as pool:
        [job_id] = site.submit(1)
        held.wait_for()
        cancelling = pool.submit(operations.cancel, job_id, EVERYTHING, "a test")
        site.eventually(lambda: waits_for_rows(site), "the cancellation waits for the result")
        held.open()
        assert isinstance(cancelling.result(), Refused)
    site.check_promises()
    assert site.job(job_id).state == State.SUCCEEDED


def test_a_cancellation_that_is_being_committed_wins_over_a_result_whose_cost_is_booked(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.scheduler()
    site.worker()
    site.provider.behave(hang=True)
    [job_id] = site.submit(1)
    site.provider.wait_for_calls(1)
    operations = Operations(site.database)
    with gate(site, CANCEL, at="commit") as held, ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(operations.cancel, job_id, EVERYTHING, "a test")
        held.wait_for()
        site.provider.release()
        site.eventually(lambda: waits_for_rows(site), "the result waits for the cancellation")
        held.open()
        assert isinstance(cancelling.result(), Changed)
    late = sa.select(all_attempts.c.outcome).where(all_attempts.c.job_id == job_id)
    site.eventually(lambda: site.query(late)[0].outcome == Outcome.SUCCEEDED, "the late result is booked")
    site.check_promises()
    assert site.job(job_id).state == State.CANCELLED
    [attempt] = site.attempts(job_id)
    assert (attempt.billed, attempt.late) == (Billed.YES, True)


@pytest.mark.parametrize("first", ["sweeper", "worker"])
def test_the_sweeper_races_completion(make_site: Callable[..., Site], first: str) -> None:
    """A worker wakes up and brings its results while it is being declared lost and its jobs are taken from it."""
    site = make_site(worker_lost_after=3)
    site.provider.behave(hang=True)
    worker = site.worker()
    site.submit(20)
    site.provider.wait_for_calls(20)
    site.provider.reset()
    with gate(site, RESCUE if first == "sweeper" else SETTLE, at="commit") as held:
        if first == "worker":
            site.provider.release()
            held.wait_for()
        worker.signal_child(signal.SIGSTOP)
        site.scheduler()
        if first == "sweeper":
            held.wait_for()
            site.provider.release()
            worker.signal_child(signal.SIGCONT)
            site.eventually(lambda: waits_for_rows(site), "the results wait for the sweeper")
        else:
            lost = sa.text("SELECT count(*) FROM processes WHERE state = 'lost'")
            site.eventually(lambda: site.query(lost)[0][0], "the worker is declared lost")
        held.open()
    worker.signal_child(signal.SIGCONT)
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 20}


def test_sweepers_that_run_at_once_take_each_job_once(make_site: Callable[..., Site]) -> None:
    """Leadership only saves work: here several sweepers sweep at the same moment, on connections of their own."""
    site = make_site()
    doomed = site.worker()
    site.provider.behave(hang=True)
    ids = site.submit(300)
    site.provider.wait_for_calls(300)
    doomed.kill()
    doomed.wait()
    site.provider.reset()
    barrier = threading.Barrier(4)

    def sweep() -> list[str]:
        database = Database(site.settings["database_url"])
        sweeps = Sweeps(database, 3)
        barrier.wait()
        sweeps.declare_gone()
        found = [step.id for _ in range(20) for step in sweeps.rescue(50)]
        database.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        freed = [job_id for each in [pool.submit(sweep) for _ in range(4)] for job_id in each.result()]
    assert sorted(freed) == sorted(ids)
    assert site.query(sa.select(sa.func.max(all_jobs.c.losses), sa.func.min(all_jobs.c.losses)))[0] == (1, 1)
    site.scheduler()
    site.scheduler()
    site.worker()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 300}
    assert len(site.provider.bill()) == 600
