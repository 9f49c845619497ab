"""kill -9 a worker at every point of a job's way where it matters (scenario 1).

The points, and how a worker is held there: see `harness_gates`. A message is acknowledged when the actor returns,
which is after the commit of the claim: between the two, the worker is held in that very commit.
"""

from collections.abc import Callable

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import State
from tests.faults.harness import Site
from tests.faults.harness_gates import CLAIM, SETTLE, START, Point, gate


def test_a_worker_killed_before_it_claimed_costs_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    doomed = site.worker()
    with gate(site, CLAIM, at="before") as held:
        site.submit_suspects(20)
        held.wait_for()
        doomed.kill()
    site.worker()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 20}
    assert len(site.provider.bill()) == 20


def test_a_worker_killed_between_claim_and_acknowledgement_has_its_jobs_done_by_another(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.scheduler()
    doomed = site.worker()
    with gate(site, CLAIM, at="commit") as held:
        [job_id] = site.submit_suspects()
        held.wait_for()
        doomed.kill()
    site.worker()
    site.check_promises()
    assert site.job(job_id).losses == 1
    assert len(site.provider.bill()) == 1


@pytest.mark.parametrize("at", ["before", "commit"])
def test_a_worker_killed_while_it_books_an_attempt_makes_no_call_for_it(
    make_site: Callable[..., Site], at: str
) -> None:
    site = make_site()
    site.scheduler()
    doomed = site.worker()
    with gate(site, START, at=at) as held:
        [job_id] = site.submit(1)
        held.wait_for()
        doomed.kill()
        if at == "before":
            held.abort()
    site.worker()
    site.check_promises()
    assert len(site.provider.bill()) == 1
    lost = [a for a in site.attempts(job_id) if a.outcome == Outcome.LOST]
    assert [a.billed for a in lost] == ([Billed.MAYBE] if at == "commit" else [])


def test_a_worker_killed_in_the_middle_of_calls_leaves_them_on_the_books(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    doomed = site.worker()
    site.provider.behave(hang=True)
    ids = site.submit(50)
    site.provider.wait_for_calls(50)
    doomed.kill()
    site.provider.reset()
    site.worker()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 50}
    for job_id in ids:
        assert [(a.outcome, a.billed) for a in site.attempts(job_id)] == [
            (Outcome.LOST, Billed.MAYBE),
            (Outcome.SUCCEEDED, Billed.YES),
        ]


def test_a_worker_killed_after_the_reply_and_before_the_commit_books_a_call_that_was_maybe_billed(
    make_site: Callable[..., Site],
) -> None:
    attempts = _killed_at_the_end(make_site(), SETTLE, at="before")
    assert attempts == [(Outcome.LOST, Billed.MAYBE), (Outcome.SUCCEEDED, Billed.YES)]


def test_a_worker_killed_after_the_commit_of_a_result_has_nothing_repeated(make_site: Callable[..., Site]) -> None:
    attempts = _killed_at_the_end(make_site(), SETTLE, at="commit")
    assert attempts == [(Outcome.SUCCEEDED, Billed.YES)]


def _killed_at_the_end(site: Site, point: Point, at: str) -> list[tuple[str, str]]:
    site.scheduler()
    doomed = site.worker()
    with gate(site, point, at=at) as held:
        [job_id] = site.submit(1)
        held.wait_for()
        assert [line["replied"] for line in site.provider.bill()] == [True]
        doomed.kill()
        if at == "before":
            held.abort()
    site.worker()
    site.check_promises()
    assert site.job(job_id).state == State.SUCCEEDED
    return [(a.outcome, a.billed) for a in site.attempts(job_id)]
