"""Every message three times and out of order (scenario 8)."""

import random
from collections.abc import Callable

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.tables import all_jobs
from tests.faults.harness import Site

_JOBS = 500


def test_rings_that_are_repeated_shuffled_and_wrong_cause_no_second_call(make_site: Callable[..., Site]) -> None:
    """The broker cannot be made to repeat messages, so the bells are rung as if it had: also for other stages."""
    site = make_site()
    site.scheduler()
    ids = site.submit(_JOBS, ring=False)
    rng = random.Random(8)
    for _ in range(3):
        for stage in Stage:
            _ring_shuffled(site, ids, stage, rng)
    site.worker()
    site.worker()
    site.provider.wait_for_calls(_JOBS // 2)
    for stage in Stage:
        _ring_shuffled(site, ids, stage, rng)
    site.check_promises()
    for stage in Stage:
        _ring_shuffled(site, ids, stage, rng)
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: _JOBS}
    assert len(site.provider.bill()) == _JOBS
    # Claims may be more: where the deployment is full, a job is parked for a moment.
    assert site.query(sa.select(sa.func.max(all_jobs.c.attempts)))[0][0] == 1


def _ring_shuffled(site: Site, ids: list[str], stage: Stage, rng: random.Random) -> None:
    shuffled = rng.sample(ids, len(ids))
    while shuffled:
        size = rng.randint(1, 64)
        site.ring(shuffled[:size], rng.choice(list(Lane)), stage)
        shuffled = shuffled[size:]
