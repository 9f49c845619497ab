"""kill -9 the scheduler that leads while it asks StackStorm: the repair is executed once, and followed by the next."""

from collections.abc import Callable, Iterator

import pytest

from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By
from synthralos.store.queue.repairs import RepairFilter, Repairs, Wanted
from tests.fakes.stackstorm_link import KEY, FakeStackStorm, stackstorm
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader


@pytest.fixture
def fake() -> Iterator[FakeStackStorm]:
    with stackstorm() as running:
        yield running


@pytest.mark.timeout(300)
def test_a_leader_killed_between_request_and_answer_and_another_after_the_start_leave_one_execution(
    make_site: Callable[..., Site], fake: FakeStackStorm
) -> None:
    link = {"stackstorm_api_url": fake.url, "stackstorm_api_key": KEY, "enable_stackstorm": "true"}
    site = make_site(stackstorm_timeout=30, **link)
    repairs = Repairs(site.database)

    def in_state(state: RepairState) -> bool:
        return bool(repairs.page(RepairFilter(state=state), EVERYTHING, 1))

    everybody = [site.scheduler() for _ in range(3)]
    the_leader(site, everybody)
    [job_id] = site.submit(ring=False)
    fake.hang("POST")
    wanted = Wanted(RepairKind.RETRY, {"job_id": job_id}, 600.0)
    assert repairs.ask(job_id, EVERYTHING, wanted, By("ann")) is not None
    assert fake.arrived.wait(30)
    the_leader(site, everybody).kill()
    fake.go_on()
    [execution] = fake.started()
    site.eventually(lambda: in_state(RepairState.STARTED), "the next leader has found the execution")
    the_leader(site, everybody).kill()
    fake.finish(execution, "succeeded", outcome="recovered")
    site.eventually(lambda: in_state(RepairState.SUCCEEDED), "the last leader has followed it to its end")
    [repair] = repairs.page(RepairFilter(), EVERYTHING, 10)
    assert repair.execution_id == execution["id"]
    assert list(fake.executions) == [execution["id"]]
