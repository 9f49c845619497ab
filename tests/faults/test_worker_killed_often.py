"""20 kills with 2,000 jobs under way (scenario 3)."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from synthralos.domain.states import State
from synthralos.store.tables import all_attempts, event_logs
from tests.faults.harness import Site

_JOBS, _KILLS, _SEATS = 2000, 20, 200

_SOON = 60.0
"""Seconds."""


@pytest.mark.timeout(300)
def test_twenty_kills_lose_no_job_and_no_call(make_site: Callable[..., Site]) -> None:
    """Each kill comes when the two workers have made so many more calls, so that it hits calls in flight."""
    site = make_site(max_losses=_KILLS + 1, flight_slots=_SEATS)
    site.scheduler()
    workers = [site.worker(), site.worker()]
    for worker in workers:
        worker.supervise()
    site.provider.behave(delay=0.5)
    site.submit(_JOBS)
    for number in range(_KILLS):
        site.provider.wait_for_calls(1 + number * (_JOBS // _KILLS - 10))
        workers[number % 2].kill()
    site.check_promises(timeout=120)
    assert site.states() == {State.SUCCEEDED: _JOBS}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jobs_that_are_lost_again_and_again_are_called_again_soon(make_site: Callable[..., Site]) -> None:
    """From the loss of a job, as the sweeper noted it, to its next call: no pause of minutes stands in between.

    On a quiet machine 99 of 100 take less than 15 seconds; the bound here allows for one that is busy with other tests.
    """
    site = make_site(max_losses=2)
    site.scheduler()
    worker = site.worker()
    worker.supervise()
    site.provider.behave(hang=True)
    site.submit(300)
    site.provider.wait_for_calls(250)
    worker.kill()  # with every call in flight, however late it comes; the next one, too
    site.provider.wait_for_calls(500)
    site.provider.behave(delay=2.0)
    worker.kill()
    for calls in (650, 720):
        site.provider.wait_for_calls(calls)
        worker.kill()
    site.check_promises(timeout=150)
    waits = sorted(_waits(site))
    assert len(waits) > 400
    assert waits[len(waits) * 99 // 100] <= _SOON


def _waits(site: Site) -> Iterator[float]:
    """Seconds between each loss that a job outlived and its next call."""
    calls = defaultdict(list)
    for attempt in site.query(sa.select(all_attempts)):
        calls[attempt.job_id].append(attempt.started_at)
    for event in site.query(sa.select(event_logs).where(event_logs.c.kind.in_(["lost", "isolated"]))):
        later = [at for at in calls[event.job_id] if at > event.at]
        if later:
            yield (min(later) - event.at).total_seconds()
