"""kill -9 the scheduler that leads while it erases: another goes on, and nothing of the person is left."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from synthralos.domain.erasures import Erasure, ErasureState, OpenJobs
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import Scope
from synthralos.domain.states import Transition
from synthralos.store.retention.erasures import Erasures
from synthralos.store.tables import event_logs, jobs, results
from tests.fakes.jobs import new_job, settlement
from tests.fakes.schedules import ANN
from tests.fakes.stores import Store
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader

JOBS = 3_000
PERSON, NEIGHBOR = Tenant("acme", "main", "person"), Tenant("acme", "main", "neighbor")


def finished(site: Site, tenant: Tenant, count: int) -> list[str]:
    store = Store(site.database)
    ids = store.submit(*(new_job(tenant=tenant) for _ in range(count)))
    store.settlements.settle([settlement(job, Transition.CANCEL, analyzed=True) for job in store.claim(ids)])
    return ids


@pytest.mark.timeout(300)
def test_an_erasure_goes_on_after_the_leader_is_killed(make_site: Callable[..., Site]) -> None:
    site = make_site(leader_term=1, retention_share=0.5)
    finished(site, PERSON, JOBS)
    kept = finished(site, NEIGHBOR, 20)
    erasures = Erasures(site.database)
    everybody = [site.scheduler() for _ in range(2)]
    leader = the_leader(site, everybody)
    made = erasures.create(Scope("acme", None, "person"), OpenJobs.CANCEL, ANN)
    assert isinstance(made, Erasure)

    def now() -> Erasure:
        found = erasures.get(made.id, None)
        assert found is not None
        return found

    site.eventually(lambda: now().counts.get("jobs", 0) > 0, "the erasure has begun")
    leader.kill()
    site.eventually(lambda: now().state is ErasureState.DONE, "another one ended it")
    assert now().counts["jobs"] == JOBS
    for key in (jobs.c.id, results.c.job_id):
        assert {str(row[0]) for row in site.query(sa.select(key))} == set(kept)
    assert site.query(sa.select(event_logs.c.job_id).where(event_logs.c.job_id.not_in(kept))) == []
