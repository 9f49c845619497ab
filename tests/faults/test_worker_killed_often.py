"""20 kills with 2,000 jobs under way (scenario 3)."""

from collections.abc import Callable

import pytest

from synthralos.domain.states import State
from tests.faults.harness import Site

_JOBS, _KILLS, _SEATS = 2000, 20, 200


@pytest.mark.timeout(240)
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
