"""A job that takes its worker down with it each time (scenario 4)."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Outcome
from synthralos.domain.states import State
from synthralos.store.tables import processes
from tests.fakes.jobs import new_job
from tests.faults.harness import Site
from tests.faults.harness_deadly import DEADLY, DeadlyWorker
from tests.faults.harness_processes import Worker

_LOSSES = 2


def test_a_poison_job_is_dead_lettered_after_the_losses_that_are_allowed(make_site: Callable[..., Site]) -> None:
    site = _with_poison(make_site)
    [poison] = site.submit(1, model="other/small")
    _die_of(site, poison, _supervised(site))
    site.submit(5)
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 5, State.FAILED: 1}
    buried = site.job(poison)
    assert (buried.losses, buried.failure["provider_code"]) == (_LOSSES, "poison")
    assert [a.outcome for a in site.attempts(poison)] == [Outcome.LOST] * _LOSSES


@pytest.mark.timeout(500)
def test_neighbors_that_are_lost_with_a_poison_job_each_time_are_unharmed(make_site: Callable[..., Site]) -> None:
    """All of one message: the workers die as soon as the poison job is called, while the others are under way."""
    site = _with_poison(make_site)
    site.provider.behave(model="fake", delay=0.3)
    poison = new_job(model="other/small")
    neighbors = [new_job(model="fake/small") for _ in range(15)]
    site.accept([*neighbors[:7], poison, *neighbors[7:]])
    _die_of(site, poison.id, _supervised(site))
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 15, State.FAILED: 1}
    assert site.job(poison.id).failure["provider_code"] == "poison"
    assert max(site.job(job.id).losses for job in neighbors) >= _LOSSES


@pytest.mark.parametrize("max_losses", [2, 3])
def test_a_job_that_kills_its_worker_in_a_guard_is_found_among_its_batch(
    make_site: Callable[..., Site], max_losses: int
) -> None:
    """The first death counts against nobody, because nothing was written yet; each further one does."""
    site = make_site(max_losses=max_losses, ring_again_after=600)
    poison = new_job(DEADLY, model="fake/small")
    neighbors = [new_job(model="fake/small") for _ in range(63)]
    site.accept([*neighbors[:32], poison, *neighbors[32:]])
    site.scheduler()
    site.start(DeadlyWorker(site)).supervise()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 63, State.FAILED: 1}
    buried = site.job(poison.id)
    assert (buried.losses, buried.failure["provider_code"]) == (max_losses, "poison")
    assert _deaths(site) <= max_losses + 1


def _deaths(site: Site) -> int:
    """The workers that were declared lost."""
    lost = sa.select(sa.func.count()).where(processes.c.kind == "worker", processes.c.state == "lost")
    return int(site.query(lost)[0][0])


def _with_poison(make_site: Callable[..., Site]) -> Site:
    """A site whose provider never answers what is asked of `other/small`."""
    site = make_site(max_losses=_LOSSES)
    site.provider.behave(model="other", hang=True)
    site.scheduler()
    return site


def _supervised(site: Site) -> Worker:
    worker = site.worker()
    worker.supervise()
    return worker


def _die_of(site: Site, poison: str, worker: Worker) -> None:
    """Kill the worker whenever the poison job's call arrives at the provider, until the job is buried."""
    deaths = 0
    while _next_call(site, poison, deaths):
        worker.kill()
        deaths += 1


def _next_call(site: Site, poison: str, calls: int) -> bool:
    """Wait until the poison job is called once more; False when it is over."""

    def seen() -> str | None:
        if site.job(poison).finished_at:
            return "over"
        return "called" if sum(line["job_id"] == poison for line in site.provider.bill()) > calls else None

    # Suspects are set apart in time by waits that double, and on a slow machine a worker takes ten seconds to start.
    return bool(site.eventually(seen, "the poison job is called or buried", timeout=150) == "called")
