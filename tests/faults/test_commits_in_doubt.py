"""The connection breaks during a commit: the server commits, and the worker does not know whether it did.

The worker is held in its COMMIT by a gate, its connection is cut, and the gate opens: the first commit goes through
while the worker is already writing it again.
"""

from collections.abc import Callable

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.states import State
from tests.faults.harness import Site
from tests.faults.harness_gates import CLAIM, SETTLE, START, Point, gate, waits_for_rows
from tests.faults.harness_network import proxied


@pytest.mark.parametrize("point", [CLAIM, START, SETTLE], ids=["claim", "start", "settle"])
def test_what_is_committed_without_the_worker_knowing_is_not_done_twice(
    make_site: Callable[..., Site], point: Point
) -> None:
    site = make_site()
    with proxied(site.settings["database_url"]) as (proxy, url):
        site.scheduler()
        worker = site.worker(database_url=url)
        worker_id = worker.worker_id()
        with gate(site, point, at="commit") as held:
            [job_id] = site.submit_suspects()
            held.wait_for()
            proxy.cut()
        site.check_promises()
    assert site.job(job_id).state == State.SUCCEEDED
    [attempt] = site.attempts(job_id)
    assert (attempt.outcome, attempt.billed, attempt.worker_id) == (Outcome.SUCCEEDED, Billed.YES, worker_id)
    assert site.job(job_id).losses == 0


def test_a_claim_whose_commit_is_still_going_on_is_found_out_about_later(make_site: Callable[..., Site]) -> None:
    """The worker asks again while its first, cut-off transaction still holds the job: the answer has to wait."""
    site = make_site()
    with proxied(site.settings["database_url"]) as (proxy, url):
        site.scheduler()
        site.worker(database_url=url)
        with gate(site, CLAIM, at="commit") as held:
            [job_id] = site.submit_suspects()
            held.wait_for()
            proxy.cut()
            site.eventually(lambda: waits_for_rows(site), "the worker asks for the job again")
        site.check_promises(timeout=30)
    assert site.job(job_id).state == State.SUCCEEDED
    assert len(site.attempts(job_id)) == 1
