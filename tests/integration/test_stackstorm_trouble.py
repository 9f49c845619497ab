"""StackStorm away, wrong, slow or crowded, and leaders that come and go: jobs go on, and nothing is started twice."""

import threading
from collections.abc import Iterator

import pytest

from scheduler.stackstorm.link import build_link
from synthralos.control.operator import Actor
from synthralos.domain.jobs import Constraints
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.queue.deliveries import Deliveries
from synthralos.store.queue.repairs import RepairFilter, Wanted
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.stackstorm_link import FakeStackStorm, stackstorm
from tests.fakes.stores import Store
from tests.integration.stackstorm_site import BREAKER, BREAKERS, NO_CALLS, Site
from tests.integration.worker_place import WorkerPlace, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def fake() -> Iterator[FakeStackStorm]:
    with stackstorm() as running:
        yield running


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = lambda _: NO_CALLS
        yield server


@pytest.mark.parametrize(
    "instead",
    [
        Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Answer(200, b"{"),
        Answer(401, {"faultstring": "Unauthorized"}),
        Answer(404, {"faultstring": "not found"}),
        Answer(503, b"away"),
        Answer(status=0, drop=True),
    ],
    ids=["HTML", "no JSON", "401", "404", "503", "cut"],
)
def test_a_stackstorm_that_is_wrong_or_away_is_given_up_and_the_built_in_remedies_run(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, instead: Answer
) -> None:
    fake.instead = instead
    site = Site(place, provider, fake)
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    assert site.ended(job_id).state is RepairState.FELL_BACK
    kinds = [each["kind"] for each in place.store.events(job_id)]
    assert kinds == ["healed", "repair.asked", "repair.ended", "healed"]


def test_one_that_hangs_holds_a_job_up_for_its_time_out_alone(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    fake.hang()
    site = Site(place, provider, fake, stackstorm_timeout=0.2)
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    assert "away" in site.ended(job_id).outcome


def test_one_that_goes_away_in_the_middle_lets_the_job_go_and_is_asked_no_more_until_it_is_back(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    site.leader()
    [first] = place.submit(new_job())
    fake.started()
    fake.instead = Answer(503, b"away")
    assert place.finished(first) == [State.FAILED]
    assert site.ended(first).state is RepairState.FELL_BACK
    site.shut()
    place.heard.until(lambda: not _asks(site, provider))
    fake.instead = None
    store = BreakerStore(place.store.database)
    assert store.reset(BREAKER, By("ann", "it is back")) is not None
    place.bus.publish(BREAKERS, [BREAKER])
    place.heard.until(lambda: _asks(site, provider))


def _asks(site: Site, provider: ScriptedServer) -> bool:
    """Whether a new job is parked for StackStorm."""
    [job_id] = site.place.submit(new_job())
    site.place.heard.until(lambda: site.place.store.state(job_id) in (State.PARKED, State.FAILED))
    asked = bool(site.repairs.page(RepairFilter(job_id=job_id), EVERYTHING, 1))
    site.operator().cancel([job_id], Actor("ann", EVERYTHING))
    return asked


def test_a_leader_that_is_killed_before_it_books_the_start_leaves_one_execution(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    """The execution runs, and nothing says so: whoever leads next finds it by its tag."""
    site = Site(place, provider, fake)
    [job_id] = place.submit(new_job())
    repair = site.asked(job_id)
    link = build_link(site.core.settings)
    assert link is not None
    link.start(repair.workflow, repair.sent, repair.tag)
    [execution] = fake.started()
    site.leader()
    place.heard.until(lambda: site.repairs.page(RepairFilter(state=RepairState.STARTED), EVERYTHING, 9) != [])
    fake.finish(execution, "failed", outcome="error")
    assert site.ended(job_id).execution_id == execution["id"]
    assert len(fake.executions) == 1


def test_a_leader_that_is_killed_after_the_start_is_followed_by_another(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    first = site.leader()
    [job_id] = place.submit(new_job())
    place.heard.until(lambda: site.repairs.page(RepairFilter(state=RepairState.STARTED), EVERYTHING, 9) != [])
    first.stop()
    [execution] = fake.started()
    fake.finish(execution, "failed", outcome="error")
    site.leader()
    assert site.ended(job_id).state is RepairState.FELL_BACK
    assert len(fake.executions) == 1


def test_who_does_not_lead_starts_nothing(place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm) -> None:
    site = Site(place, provider, fake)
    site.leads = False
    [job_id] = place.submit(new_job())
    site.asked(job_id)
    task = site.leader()
    assert task.repairing.round() is False
    assert fake.server.asked == []


def test_without_a_leader_the_job_goes_on_by_itself_when_its_time_has_come(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    [job_id] = place.submit(new_job())
    site.asked(job_id)
    place.wake(job_id)
    assert place.finished(job_id) == [State.FAILED]
    site.leader()
    repair = site.ended(job_id)
    assert (repair.state, repair.outcome) == (RepairState.CANCELLED, "the job went on without it")
    assert fake.executions == {}


def test_jobs_beyond_what_may_be_under_way_do_not_wait_long_for_their_turn(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.stackstorm.repairing.BEGUN_WITHIN", 0.0)
    site = Site(place, provider, fake, stackstorm_executions=1)
    job_ids = place.submit(new_job(), new_job())
    for job_id in job_ids:
        site.asked(job_id)
    site.leader()
    place.heard.until(lambda: State.FAILED in map(place.store.state, job_ids))
    assert sorted(map(place.store.state, job_ids)) == [State.FAILED, State.PARKED]
    assert len(fake.executions) == 1


def test_eu_data_is_not_told_a_stackstorm_that_is_nowhere_declared_also_where_an_operator_asks(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    site.leader()
    [job_id] = place.submit(new_job(constraints=Constraints(classification="eu")))
    assert place.finished(job_id) == [State.FAILED]
    asked = site.repairs.ask(job_id, EVERYTHING, Wanted(RepairKind.RETRY, {"job_id": job_id}, 60.0), By("ann"))
    assert asked is not None
    assert site.ended(job_id).state is RepairState.CANCELLED
    assert fake.executions == {}


def test_a_stop_waits_for_no_answer(place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm) -> None:
    fake.hang()
    site = Site(place, provider, fake, stackstorm_timeout=100.0)
    task = site.leader()
    [job_id] = place.submit(new_job())
    assert fake.arrived.wait(20)
    stopping = threading.Thread(target=task.stop)
    stopping.start()
    stopping.join(10)
    assert not stopping.is_alive()
    assert place.store.state(job_id) == State.PARKED


def test_what_happens_is_told_by_the_leader_and_again_by_the_next_where_it_was_not_taken(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    first = site.leader()
    deliveries = Deliveries(place.store.database)
    place.heard.until(lambda: bool(deliveries.positions(BREAKER)))
    first.stop()
    BreakerStore(place.store.database).broken("fake/b@us", "5 of 5 calls failed", "me")
    site.leader()
    with fake.changed:
        assert fake.changed.wait_for(lambda: bool(fake.told), 30)
    [(trigger, payload, tag)] = fake.told
    assert (trigger, payload["name"], payload["reason"]) == (
        "synthralos.breaker_opened", "fake/b@us", "5 of 5 calls failed",
    )  # fmt: skip
    assert tag is not None
    assert tag.startswith("synthralos-event-")
