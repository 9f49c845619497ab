"""A worker dies with two calls of one job in flight: both are on the books, and the job ends once."""

from collections.abc import Callable

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import Lane, State
from synthralos.store.admin.audit import By
from synthralos.store.admin.policies import Policies
from tests.faults.harness import Site

_SEEN = 6
"""Calls after which a worker knows how long a deployment takes."""


@pytest.mark.timeout(300)
def test_both_calls_of_a_killed_worker_are_on_the_books(make_site: Callable[..., Site]) -> None:
    site = make_site(max_losses=3, worker_lost_after=3)
    document = {"name": "quick", "rules": [{"id": "one", "then": [{"action": "hedge"}]}]}
    Policies(site.database).create(document, None, None, By("test"))
    site.scheduler()
    doomed = site.worker()
    site.submit(_SEEN, model="small", lane=Lane.INTERACTIVE)
    site.wait_until_done()
    before = len(site.provider.bill())
    site.provider.behave(hang=True)
    [job_id] = site.submit(1, model="small", lane=Lane.INTERACTIVE)
    site.provider.wait_for_calls(before + 2)
    doomed.kill()
    site.provider.reset()
    site.worker()
    site.check_promises()
    first, second, third = site.attempts(job_id)
    assert {(each.outcome, each.billed) for each in (first, second)} == {(Outcome.LOST, Billed.MAYBE)}
    assert third.outcome == Outcome.SUCCEEDED
    assert set(site.states()) == {State.SUCCEEDED}
