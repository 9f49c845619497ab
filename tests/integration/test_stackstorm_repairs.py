"""StackStorm's repairs on real workers: asked for, started, followed and settled, and what goes on where they fail."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.analyze.otlp_spans import otlp_spans
from scheduler.leader import ROLE
from scheduler.stackstorm.link import build_link
from scheduler.stackstorm.task import StackStormTask
from synthralos.bus.protocol import Topic
from synthralos.control.operator import Actor, Operator
from synthralos.core import Core
from synthralos.domain.breakers import BreakerState
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.jobs import Constraints
from synthralos.domain.repairs import Repair, RepairKind, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.processes import Leadership
from synthralos.store.queue.deliveries import Deliveries
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.operations import Operations
from synthralos.store.queue.repairs import RepairFilter, Repairs, Wanted
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stackstorm_link import KEY, Execution, FakeStackStorm, stackstorm
from tests.fakes.stackstorm_pack import stackstorm as pack_of
from tests.fakes.stores import Store
from tests.integration.api_place import api_over
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

NO_CALLS = Answer(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
"""What heals by itself nowhere: the next remedy is StackStorm."""

BREAKER, _BREAKERS = "stackstorm", Topic.BREAKERS


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


class Site:
    """One worker, and a leader's link to StackStorm, on one core."""

    def __init__(self, place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, **more: Any) -> None:
        self.place, self.fake = place, fake
        settings = {
            "stackstorm_api_url": fake.url, "stackstorm_api_key": KEY, "enable_stackstorm": True,
            "stackstorm_timeout": 10.0, **more,
        }  # fmt: skip
        flags = settings.pop("flags", None)
        self.core: Core = place.core(deployments_at(f"{provider.url}/v1", "a"), flags=flags, **settings)
        place.start(self.core)
        self.repairs = Repairs(place.store.database)
        self.leads = True
        self._process = place.store.processes.register("scheduler")
        self._leadership = Leadership(place.store.database, ROLE, self._process, 60.0)

    def _lead(self) -> Lead | None:
        term = self._leadership.campaign() if self.leads else None
        return None if term is None else Lead(ROLE, self._process, term)

    def leader(self) -> StackStormTask:
        """The leader's task, running from now on."""
        link = build_link(self.core.settings)
        assert link is not None
        task = StackStormTask(self.core, link, self._lead, lambda: self._process, busy=0.05)
        task.start()
        self.place.at_end(task.stop)
        return task

    def asked(self, job_id: str) -> Repair:
        """The job's repair, when it waits for it."""
        self.place.reaches(job_id, State.PARKED)
        [repair] = self.repairs.page(RepairFilter(job_id=job_id), EVERYTHING, 10)
        return repair

    def ended(self, job_id: str) -> Repair:
        """The job's one repair, when that is over."""
        found: list[Repair] = []

        def over() -> bool:
            found[:] = self.repairs.page(RepairFilter(job_id=job_id), EVERYTHING, 10)
            return bool(found) and all(each.ended_at is not None for each in found)

        self.place.heard.until(over)
        [repair] = found
        return repair

    def operator(self) -> Operator:
        return Operator(Operations(self.place.store.database), self.core.doorbell, self.core.bus)

    def shut(self) -> None:
        """Return when StackStorm's breaker is open, and the worker knows."""
        store = BreakerStore(self.place.store.database)
        self.place.heard.until(
            lambda: (found := store.get(BREAKER)) is not None and found.state is not BreakerState.CLOSED
        )


def recovered(_: Asked) -> Answer:
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    message = {"role": "assistant", "content": "Paris"}
    return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def acting(site: Site, act: Callable[[Execution], bool]) -> Callable[[Execution], tuple[str, dict[str, Any]]]:
    """A workflow that acts and then watches the job to its end, as those of the pack do."""

    def workflow(execution: Execution) -> tuple[str, dict[str, Any]]:
        job_id = execution["parameters"]["job_id"]
        if not act(execution):
            return "failed", {"outcome": "error", "detail": "the job cannot be moved"}
        [state] = site.place.finished(job_id)
        done = state == State.SUCCEEDED
        told = {"outcome": "recovered" if done else "not_recovered", "state": state, "attempts": 2, "secret": KEY}
        return "succeeded" if done else "failed", told

    return workflow


def retried(site: Site) -> Callable[[Execution], bool]:
    def act(execution: Execution) -> bool:
        given = execution["parameters"]
        actor = Actor("key:pack", EVERYTHING, "StackStorm execution 1", given["repair_id"])
        [outcome] = site.operator().retry([given["job_id"]], actor)
        return type(outcome).__name__ == "Changed"

    return act


def test_the_full_circle_the_packs_own_action_reroutes_the_job_through_the_api(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    with api_over(site.core) as api, pack_of(api.url, api.key()) as pack:

        def reroute(execution: Execution) -> bool:
            provider.script = recovered
            given = {name: execution["parameters"][name] for name in ("job_id", "repair_id", "reason")}
            answer = pack.answer("job_reroute", execution=execution["id"], **given)
            assert answer["status"] is True, answer
            assert answer["result"]["changed"] is True
            again = pack.answer("job_reroute", execution=execution["id"], **given)
            assert again["result"]["changed"] is False
            return True

        fake.workflow = acting(site, reroute)
        site.leader()
        [job_id] = place.submit(new_job())
        assert place.finished(job_id) == [State.SUCCEEDED]
        repair = site.ended(job_id)
        [execution] = fake.started()
        events = [(each["kind"], each["actor"]) for each in place.store.events(job_id)]
        shown = json.dumps(api.client().get(f"/api/v1/jobs/{job_id}/evidence").json())
        traced = api.client().get(f"/api/v1/observability/traces/{place.store.job(job_id)['trace_id']}").json()
    [part] = traced["jobs"]
    [span] = [each for each in part["spans"] if each["name"] == "repair"]
    assert (span["status"], span["attributes"]["execution_id"]) == ("ok", execution["id"])
    assert "repair" in [each.name for each in otlp_spans(part)]
    assert (repair.state, repair.execution_id, repair.workflow) == (
        RepairState.SUCCEEDED, execution["id"], "synthralos.llm_retry",
    )  # fmt: skip
    assert repair.result == {
        "status": "succeeded", "outcome": "recovered", "state": "succeeded", "attempts": 2,
    }  # fmt: skip
    assert repair.acted_at is not None
    assert [kind for kind, _ in events] == ["healed", "repair.asked", "reroute", "repair.ended"]
    assert '"stackstorm"' in shown
    assert len(place.store.attempts(job_id)) == 2


def test_a_job_that_was_retried_and_fails_again_is_not_asked_about_twice(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    fake.workflow = acting(site, retried(site))
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    repair = site.ended(job_id)
    assert (repair.state, repair.outcome) == (RepairState.FAILED, "the execution failed: not_recovered")
    assert len(fake.executions) == 1
    assert len(place.store.attempts(job_id)) == 2


@pytest.mark.parametrize("status", ["failed", "timeout", "canceled", "abandoned", "succeeded"])
def test_an_execution_that_ends_without_moving_the_job_sends_it_back_to_the_built_in_remedies(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, status: str
) -> None:
    site = Site(place, provider, fake)
    fake.workflow = lambda _: (status, {"outcome": "error", "detail": "nothing was done"})
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    repair = site.ended(job_id)
    assert repair.state is RepairState.FELL_BACK
    assert repair.result is not None
    assert repair.result["status"] == status
    assert place.store.job(job_id)["failure"]["class"] == "credential"


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
    place.bus.publish(_BREAKERS, [BREAKER])
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


def test_a_job_that_a_person_moves_ends_its_repair_and_the_execution(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake)
    site.leader()
    [job_id] = place.submit(new_job())
    [execution] = fake.started()
    place.heard.until(lambda: site.repairs.page(RepairFilter(state=RepairState.STARTED), EVERYTHING, 9) != [])
    provider.script = recovered
    site.operator().retry([job_id], Actor("ann", EVERYTHING, "by hand"))
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert site.ended(job_id).state is RepairState.CANCELLED
    assert fake.ended(execution) == "canceled"


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


@pytest.mark.parametrize("off", ["switched off", "an organization without the flag"])
def test_where_the_flag_is_off_nothing_is_sent(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm, off: str
) -> None:
    flags = Flags({Flag.ENABLE_STACKSTORM: FlagState(off != "switched off", 0)})
    site = Site(place, provider, fake, flags=flags)
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    assert site.repairs.page(RepairFilter(), EVERYTHING, 10) == []
    assert fake.server.asked == []


def test_where_repairs_may_not_be_executed_one_is_proposed_and_an_operator_may_ask(
    place: WorkerPlace, provider: ScriptedServer, fake: FakeStackStorm
) -> None:
    site = Site(place, provider, fake, enable_stackstorm_repair_execution=False)
    site.leader()
    [job_id] = place.submit(new_job())
    assert place.finished(job_id) == [State.FAILED]
    [proposed] = site.repairs.page(RepairFilter(), EVERYTHING, 10)
    assert (proposed.state, proposed.kind) == (RepairState.PROPOSED, RepairKind.RETRY)
    assert fake.executions == {}
    provider.script = recovered
    fake.workflow = acting(site, retried(site))
    wanted = Wanted(RepairKind.RETRY, {"job_id": job_id}, 60.0)
    asked = site.repairs.ask(job_id, EVERYTHING, wanted, By("ann", "do it"))
    assert asked is not None
    place.heard.until(lambda: (site.repairs.get(asked.id, EVERYTHING) or asked).state is RepairState.SUCCEEDED)
    assert place.store.state(job_id) == State.SUCCEEDED


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
