"""kill -9 the scheduler that leads while it carries out an operation: another goes on, and each job is retried once."""

from collections import Counter
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from synthralos.domain.bulk import BulkAct, BulkOperation, BulkState, DeadLetterFilter
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State, Transition
from synthralos.store.queue.bulk import BulkOperations
from synthralos.store.tables import all_jobs, event_logs
from tests.fakes.jobs import new_job, settlement
from tests.fakes.schedules import ANN
from tests.fakes.stores import Store
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader

JOBS = 200


def dead_letters(site: Site) -> list[str]:
    store = Store(site.database)
    ids = store.submit(*(new_job() for _ in range(JOBS)))
    failure = Failure(FailureClass.OVERLOADED, "try later").to_json()
    dead = [settlement(job, Transition.FAIL, failure=failure, analyzed=True) for job in store.claim(ids)]
    store.settlements.settle(dead)
    return ids


@pytest.mark.timeout(300)
def test_an_operation_goes_on_after_the_leader_is_killed_and_no_job_is_done_twice(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(leader_term=1)
    ids = dead_letters(site)
    everybody = [site.scheduler() for _ in range(2)]
    operations = BulkOperations(site.database)
    leader = the_leader(site, everybody)
    made = operations.create(BulkAct.RETRY, DeadLetterFilter(), EVERYTHING, ANN, per_second=200)
    assert isinstance(made, BulkOperation)

    def now() -> BulkOperation:
        found = operations.get(made.id, EVERYTHING)
        assert found is not None
        return found

    site.eventually(lambda: now().done > 0, "the operation has begun")
    leader.kill()
    assert now().state is BulkState.RUNNING
    site.eventually(lambda: now().state is BulkState.DONE, "another one ended it")
    assert now().done == JOBS
    retried = site.query(sa.select(event_logs.c.job_id).where(event_logs.c.kind == "retry"))
    assert Counter(row.job_id for row in retried) == Counter(ids)
    assert {row.state for row in site.query(sa.select(all_jobs.c.state))} == {State.QUEUED}
