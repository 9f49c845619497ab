"""StackStorm's repairs on real workers: asked for, started, followed and settled, and what goes on where they fail."""

import json
from collections.abc import Iterator

import pytest

from pipelines.analyze.otlp_spans import otlp_spans
from synthralos.control.operator import Actor
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.queue.repairs import RepairFilter, Wanted
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import ScriptedServer, scripted_server
from tests.fakes.stackstorm_link import Execution, FakeStackStorm, stackstorm
from tests.fakes.stackstorm_pack import stackstorm as pack_of
from tests.fakes.stores import Store
from tests.integration.api_place import api_over
from tests.integration.stackstorm_site import NO_CALLS, Site, acting, recovered, retried
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
