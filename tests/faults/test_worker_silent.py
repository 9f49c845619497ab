"""A worker that falls silent and comes back: stopped (scenario 2), or cut off from the database for too long.

Its jobs are done by others meanwhile. What it brings home late is booked and changes nothing else, and it goes on
working under a new identity.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import sqlalchemy as sa

from synthralos.domain.states import State
from synthralos.store.tables import all_attempts, processes
from tests.faults.harness import Site
from tests.faults.harness_network import proxied
from tests.faults.harness_processes import Worker

_JOBS = 20


def test_a_stopped_worker_that_wakes_up_late_changes_only_the_ledger(make_site: Callable[..., Site]) -> None:
    site = make_site(worker_lost_after=3)
    worker = site.worker()

    @contextmanager
    def stopped() -> Iterator[None]:
        worker.signal_child(signal.SIGSTOP)
        yield
        worker.signal_child(signal.SIGCONT)

    _falls_silent_with_calls_in_flight(site, worker, stopped)


def test_a_worker_cut_off_from_the_database_brings_its_results_home_late(make_site: Callable[..., Site]) -> None:
    site = make_site(worker_lost_after=3)
    with proxied(site.settings["database_url"]) as (proxy, url):
        worker = site.worker(database_url=url)

        @contextmanager
        def cut_off() -> Iterator[None]:
            proxy.refuse()
            yield
            proxy.restore()

        _falls_silent_with_calls_in_flight(site, worker, cut_off)


def _falls_silent_with_calls_in_flight(
    site: Site, worker: Worker, silence: Callable[[], AbstractContextManager[None]]
) -> None:
    site.scheduler()
    silent_id = worker.worker_id()
    site.provider.behave(hang=True)
    site.submit(_JOBS)
    site.provider.wait_for_calls(_JOBS)
    site.provider.reset()
    with silence():
        site.eventually(lambda: _state_of(site, silent_id) == "lost", "the silent worker is declared lost")
        other = site.worker()
        site.eventually(lambda: site.states() == {State.SUCCEEDED: _JOBS}, "another worker has done its jobs")
        site.provider.release()
    late = sa.select(sa.func.count()).where(all_attempts.c.late, all_attempts.c.worker_id == silent_id)
    site.eventually(lambda: site.query(late)[0][0] == _JOBS, "the late results are on the books")
    site.eventually(lambda: worker.worker_id() != silent_id, "it goes on under a new identity")
    site.check_promises()
    other.terminate()
    [job_id] = site.submit(1)
    site.check_promises()
    assert site.attempts(job_id)[0].worker_id == worker.worker_id()


def _state_of(site: Site, process_id: str) -> str:
    state: str = site.query(sa.select(processes.c.state).where(processes.c.id == process_id))[0].state
    return state
