"""StackStorm as an incident's repairer: asked by the monitor, acting through the API, and never waited for in vain."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from scheduler.monitoring.follow import QUIET
from scheduler.stackstorm.link import build_link
from scheduler.stackstorm.task import StackStormTask
from synthralos.domain.incidents import Incident, IncidentState
from synthralos.domain.permissions import Role
from synthralos.domain.repairs import Repair, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.repairs import RepairFilter, Repairs
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import incidents, repairs
from tests.fakes.scripted_server import Answer
from tests.fakes.stackstorm_link import KEY, Execution, FakeStackStorm, stackstorm
from tests.fakes.stackstorm_pack import StackStorm
from tests.fakes.stackstorm_pack import stackstorm as pack_of
from tests.integration.api_place import api_over
from tests.integration.monitor_place import Scene, alone, bad, browned_out, good, pair, probed


@pytest.fixture
def fake() -> Iterator[FakeStackStorm]:
    with stackstorm() as running:
        yield running


class Site:
    """A leader with a monitor and a link to StackStorm, whose rounds the test makes."""

    def __init__(self, database: Database, fake: FakeStackStorm, **more: Any) -> None:
        settings = {"stackstorm_api_url": fake.url, "stackstorm_api_key": KEY, "enable_stackstorm": True, **more}
        self.scene = scene = Scene(database, **settings)
        link = build_link(scene.core.settings)
        assert link is not None
        self.link = link
        self.task = StackStormTask(scene.core, link, self._lead, lambda: scene.process)
        scene.repairer = self.task.repairer
        scene.monitoring = scene.another()
        self.repairs = Repairs(database)
        self.deployment, _ = pair(scene)

    def _lead(self) -> Lead:
        return Lead("scheduler", self.scene.process, self.scene.term)

    def asked(self) -> Repair:
        """Half of a deployment's calls fail, its breaker did not help, and StackStorm is asked: the repair."""
        browned_out(self.scene, self.deployment)
        probed(self.scene, self.deployment)
        self.scene.age(QUIET)
        self.still_bad()
        return self.repair()

    def still_bad(self) -> None:
        self.scene.looks(4, good(self.deployment, 20), bad(self.deployment))

    def repair(self) -> Repair:
        [repair] = self.repairs.page(RepairFilter(), EVERYTHING, 10)
        return repair

    def incident(self) -> Incident:
        [incident] = self.scene.all()
        return incident

    def steps(self) -> list[tuple[str, str]]:
        return [(step.act, step.outcome) for step in self.incident().steps]


@pytest.fixture
def site_of(database: Database, fake: FakeStackStorm) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(database, fake, **settings))
        return made[-1]

    yield make
    for site in made:
        site.link.stop()
        site.task.repairing.close()


@pytest.fixture
def site(site_of: Callable[..., Site]) -> Site:
    return site_of()


def test_the_monitor_asks_for_what_may_be_done_and_tells_figures_alone(site: Site, fake: FakeStackStorm) -> None:
    repair = site.asked()
    assert (repair.state, repair.id, repair.asked_by) == (RepairState.ASKED, site.incident().id, "monitor")
    assert site.steps()[-2:] == [("ask", "begun"), ("ask", "under_way")]
    site.task.repairing.round()
    [execution] = fake.started()
    given = execution["parameters"]
    assert execution["action"]["ref"] == "synthralos.incident_repair"
    assert (given["act"], given["subject"], given["kind"]) == (
        "pause_deployment", f"deployment:{site.deployment}", "error_rate",
    )  # fmt: skip
    assert given["evidence"]["measured"] == pytest.approx(0.5, rel=0.4)
    site.still_bad()
    site.task.repairing.round()
    assert len(fake.executions) == 1
    assert site.incident().state is IncidentState.VERIFYING


def test_the_full_circle_the_packs_own_actions_pause_the_deployment_and_report(
    site: Site, fake: FakeStackStorm
) -> None:
    repair, core = site.asked(), site.scene.core
    with api_over(core) as api, pack_of(api.url, api.key(Role.ADMIN, EVERYTHING)) as pack:
        fake.workflow = lambda execution: _paused(pack, execution)
        site.task.repairing.round()
        [execution] = fake.started()
        assert fake.ended(execution) == "succeeded"
        shown = api.client(Role.ADMIN, EVERYTHING).get(f"/api/v1/deployments/{site.deployment}").json()
        seen = api.client(Role.ADMIN, EVERYTHING).get(f"/api/v1/incidents/{repair.id}").json()
        told = api.client(Role.ADMIN, EVERYTHING).get(seen["links"]["repair"]).json()
    assert shown["enabled"] is False
    assert (told["id"], told["kind"], told["acted_at"] is not None) == (repair.id, "incident", True)
    site.scene.look(good(site.deployment, 20), bad(site.deployment))
    last = site.incident().steps[-1]
    assert (last.act, last.outcome) == ("ask", "done")
    assert "paused" in last.note
    site.task.repairing.round()
    assert site.repair().state is RepairState.SUCCEEDED
    kinds = site.scene.told()
    assert kinds == ["incident.opened", "incident.repair_asked", "incident.repair_ended"]


def _paused(pack: StackStorm, execution: Execution) -> tuple[str, dict[str, Any]]:
    given = execution["parameters"]
    found = pack.run("incident_get", incident_id=given["incident_id"])
    assert (found["over"], found["subject_kind"]) == (False, "deployment")
    done = pack.answer("deployment_pause", execution["id"], deployment_id=found["subject_name"], reason=given["reason"])
    assert done["result"]["changed"] is True, done
    said = {"outcome": "acted", "repair_id": given["repair_id"], "detail": "The deployment is paused."}
    assert pack.run("incident_repair_report", **said)["changed"] is True
    assert pack.run("incident_repair_report", **said)["changed"] is False
    return "succeeded", {"outcome": "recovered", "detail": "The deployment is paused."}


def test_an_incident_whose_deployment_must_stay_is_diagnosed_and_not_paused(site: Site, fake: FakeStackStorm) -> None:
    only = alone(site.scene)
    browned_out(site.scene, only)
    site.task.repairing.round()
    [execution] = fake.started()
    assert execution["parameters"]["act"] == "diagnose"


@pytest.mark.parametrize(
    "instead",
    [
        Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Answer(401, {"faultstring": "Unauthorized"}),
        Answer(404, {"faultstring": "not found"}),
        Answer(503, b"away"),
        Answer(status=0, drop=True),
    ],
    ids=["HTML", "401", "404", "503", "cut"],
)
def test_a_stackstorm_that_is_wrong_or_away_is_given_up_and_people_are_told_at_the_next_look(
    site: Site, fake: FakeStackStorm, instead: Answer
) -> None:
    fake.instead = instead
    site.asked()
    site.task.repairing.round()
    assert site.repair().state is RepairState.FAILED
    site.scene.look(good(site.deployment, 20), bad(site.deployment))
    assert site.incident().state is IncidentState.ESCALATED
    assert "it was not started" in site.incident().steps[-1].note
    assert site.scene.told()[-1] == "incident.escalated"


def test_one_that_hangs_is_waited_for_until_its_time_out_alone(
    site_of: Callable[..., Site], fake: FakeStackStorm
) -> None:
    fake.hang()
    site = site_of(stackstorm_timeout=0.2)
    site.asked()
    site.task.repairing.round()
    assert "away" in site.repair().outcome
    site.still_bad()
    assert site.incident().state is IncidentState.ESCALATED


@pytest.mark.parametrize("status", ["failed", "timeout", "canceled", "succeeded"])
def test_an_execution_that_ends_without_a_report_has_done_nothing(
    site: Site, fake: FakeStackStorm, status: str
) -> None:
    fake.workflow = lambda _: (status, {"outcome": "error"})
    site.asked()
    site.task.repairing.round()
    fake.ended(fake.started()[0])
    site.task.repairing.round()
    assert site.repair().ended_at is not None
    site.still_bad()
    assert site.incident().state is IncidentState.ESCALATED


def test_one_that_does_not_act_in_time_is_called_off(site_of: Callable[..., Site], fake: FakeStackStorm) -> None:
    site = site_of(stackstorm_patience=60.0)
    site.asked()
    site.task.repairing.round()
    [execution] = fake.started()
    late(site)
    site.task.repairing.round()
    assert fake.ended(execution) == "canceled"
    assert "STACKSTORM_PATIENCE" in site.repair().outcome
    site.still_bad()
    assert site.incident().state is IncidentState.ESCALATED


def late(site: Site) -> None:
    with site.scene.database.transaction() as connection:
        connection.execute(sa.update(repairs).values(until=utc_in(sa.literal(-1.0))))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"enable_stackstorm": False}, "enable_stackstorm is off"),
        ({"enable_stackstorm_repair_execution": False}, "enable_stackstorm_repair_execution"),
    ],
)
def test_where_a_flag_is_off_nothing_is_sent_and_people_are_told_at_once(
    site_of: Callable[..., Site], fake: FakeStackStorm, settings: dict[str, Any], said: str
) -> None:
    site = site_of(**settings)
    browned_out(site.scene, site.deployment)
    probed(site.scene, site.deployment)
    site.scene.age(QUIET)
    site.still_bad()
    site.task.repairing.round()
    assert fake.server.asked == []
    assert site.incident().state is IncidentState.ESCALATED
    assert said in site.incident().steps[-1].note
    found = site.repairs.page(RepairFilter(), EVERYTHING, 10)
    assert [each.state for each in found] == ([] if "enable_stackstorm" in settings else [RepairState.PROPOSED])


def test_while_its_breaker_is_open_stackstorm_is_not_asked(site: Site, fake: FakeStackStorm) -> None:
    BreakerStore(site.scene.database).broken("stackstorm", "it is away", "me")
    fake.instead = Answer(503, b"away")
    site.task.repairing.round()
    browned_out(site.scene, site.deployment)
    probed(site.scene, site.deployment)
    site.scene.age(QUIET)
    site.still_bad()
    assert site.repairs.page(RepairFilter(), EVERYTHING, 10) == []
    assert site.incident().state is IncidentState.ESCALATED


def test_an_incident_that_people_resolve_ends_its_repair_and_the_execution(site: Site, fake: FakeStackStorm) -> None:
    site.asked()
    site.task.repairing.round()
    [execution] = fake.started()
    site.scene.incidents.resolve(site.incident().id, EVERYTHING, By("ann", "done"))
    site.task.repairing.round()
    assert fake.ended(execution) == "canceled"
    assert (site.repair().state, site.repair().outcome) == (RepairState.CANCELLED, "the incident is over")


def test_a_leader_that_follows_one_that_was_killed_in_asking_asks_for_nothing_more(
    site: Site, fake: FakeStackStorm
) -> None:
    """The row is written, the step is not: the next leader finds the repair, and its execution by the tag."""
    repair = site.asked()
    incident = site.incident()
    undone = [step.to_json() for step in incident.steps[:-1]]
    with site.scene.database.transaction() as connection:
        values = {"state": "repairing", "steps": undone}
        connection.execute(sa.update(incidents).where(incidents.c.id == incident.id).values(values))
    site.scene.monitoring = site.scene.another()
    site.still_bad()
    assert site.repair().id == repair.id
    assert site.steps()[-2:] == [("ask", "begun"), ("ask", "under_way")]
    site.link.start(repair.workflow, repair.sent, repair.tag)
    site.task.repairing.round()
    assert len(fake.executions) == 1
