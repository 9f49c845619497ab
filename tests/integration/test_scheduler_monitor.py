"""The leader's monitor over a real database: what it finds, what it does about it, and how it ends."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scheduler.monitoring.follow import QUIET
from scheduler.monitoring.monitor import LOOK_EVERY, SAVE_EVERY
from synthralos.domain.breakers import BreakerState
from synthralos.domain.failures import FailureClass
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.incidents import IncidentKind, IncidentState
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.read.backlogs import Backlog
from synthralos.store.read.stuck import RUNG_IN_VAIN
from synthralos.store.sql.database import Database
from synthralos.store.tables import breakers, open_jobs
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job
from tests.fakes.ledger import keep_plan, now
from tests.integration.monitor_place import (
    HEALTHY_LOOKS,
    Scene,
    alone,
    bad,
    browned_out,
    good,
    pair,
    probed,
)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_a_brown_out_is_shut_off_verified_by_probes_and_closed(scene: Scene) -> None:
    first, _ = pair(scene)
    incident = browned_out(scene, first)
    assert (incident.kind, str(incident.subject), incident.state) == (
        IncidentKind.ERROR_RATE,
        f"deployment:{first}",
        IncidentState.VERIFYING,
    )
    assert incident.evidence["measured"] == pytest.approx(0.5, rel=0.4)
    [change] = scene.breakers.changes(first, 10)
    assert (change.after, change.actor) == (BreakerState.OPEN, "monitor")
    assert incident.id in change.reason
    scene.looks(3)
    assert scene.all()[0].state is IncidentState.VERIFYING
    probed(scene, first)
    scene.age(QUIET)
    scene.looks(int(QUIET / LOOK_EVERY) + 2, good(first))
    [closed] = scene.all()
    assert closed.state is IncidentState.CLOSED
    assert [(step.act, step.outcome) for step in closed.steps] == [
        ("open_breaker", "begun"),
        ("open_breaker", "done"),
        ("verify", "recovered"),
    ]
    assert closed.steps[1].before == {"breaker": "closed"}
    assert scene.told() == ["incident.opened", "incident.closed"]


def test_a_deployment_without_another_beside_it_is_left_in_and_people_are_told(scene: Scene) -> None:
    incident = browned_out(scene, alone(scene))
    assert incident.state is IncidentState.ESCALATED
    assert scene.breakers.all() == []
    assert scene.told() == ["incident.opened", "incident.escalated"]


@pytest.mark.parametrize("share", [True, False], ids=["elsewhere", "nowhere"])
def test_what_plans_say_decides_whether_jobs_could_go_elsewhere(scene: Scene, share: bool) -> None:
    """The plans of jobs go by regions, policies and residency: the catalog alone does not know what is allowed."""
    only, other = alone(scene), next(each for each in scene.deployments if each != alone(scene))
    scene.time = now(scene.database)
    keep_plan(scene.database, only, [only, other] if share else [only])
    incident = browned_out(scene, only)
    assert incident.state is (IncidentState.VERIFYING if share else IncidentState.ESCALATED)


def test_what_fails_for_one_organization_alone_shuts_nothing_off(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first), good(first, organization="other"))
    scene.looks(3, good(first), bad(first, 30, organization="other"))
    [incident] = scene.all()
    assert incident.state is IncidentState.ESCALATED
    assert scene.breakers.all() == []


def test_calls_that_become_slow_are_an_incident_of_their_own(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first, seconds=1.0))
    scene.looks(4, good(first, seconds=3.0))
    [incident] = scene.all()
    assert (incident.kind, incident.state) == (IncidentKind.LATENCY, IncidentState.VERIFYING)
    assert incident.evidence["measured"] == pytest.approx(3.0, rel=0.1)


def test_tokens_that_become_dearer_are_told_and_nothing_is_repaired(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first))
    dear = good(first)._replace(cost=2 * (good(first).cost or 0))  # type: ignore[arg-type]
    scene.looks(4, dear)
    [incident] = scene.all()
    assert (incident.kind, incident.state) == (IncidentKind.COST_PER_TOKEN, IncidentState.ESCALATED)
    assert incident.evidence["measured"] == pytest.approx(2.0, rel=0.1)
    assert scene.breakers.all() == []


def test_what_an_organization_asks_wrongly_is_its_own_incident(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first), good(first, organization="other"))
    scene.looks(3, good(first), bad(first, 20, FailureClass.INVALID_REQUEST, organization="other"))
    [incident] = scene.all()
    assert (str(incident.subject), incident.subject.organization) == ("organization:other", "other")
    assert scene.breakers.all() == []


def test_a_new_leader_knows_what_is_usual(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first), seconds=SAVE_EVERY / HEALTHY_LOOKS + 1)
    scene.monitoring = scene.another()
    scene.look()
    scene.looks(3, good(first, 30), bad(first, 10))
    [incident] = scene.all()
    assert incident.evidence["baseline"] < 0.02


def test_what_people_resolve_while_it_goes_on_is_usual_from_then_on(scene: Scene) -> None:
    only = alone(scene)
    incident = browned_out(scene, only)
    scene.incidents.resolve(incident.id, EVERYTHING, By("ann", "it is always like that"))
    scene.looks(20, good(only, 20), bad(only))
    assert [each.state for each in scene.all()] == [IncidentState.CLOSED]


def test_jobs_that_nobody_comes_for_are_rung_again_and_told_of(scene: Scene) -> None:
    [job_id] = scene.store.submit(new_job())
    scene.store.update_job(job_id, rings=RUNG_IN_VAIN)
    scene.looks(4, seconds=10.0)
    [incident] = scene.all()
    assert (incident.kind, str(incident.subject)) == (IncidentKind.STUCK_JOBS, "queue:guard/bulk")
    assert incident.state is IncidentState.VERIFYING
    doorbell = scene.core.doorbell
    assert isinstance(doorbell, RecordingDoorbell)
    assert job_id in doorbell.rung(Stage.GUARD, Lane.BULK)
    with scene.database.transaction() as connection:
        connection.execute(sa.delete(open_jobs))
    scene.age(QUIET)
    scene.looks(int(QUIET / 10) + 2, seconds=10.0)
    assert scene.all()[0].state is IncidentState.CLOSED


def test_while_the_monitor_is_off_nothing_is_watched(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first))
    configuration = Configuration(scene.database)
    configuration.set_flag(Flag.ENABLE_MONITOR, FlagState(False), By("ann"))
    scene.core.live.changed()
    scene.looks(6, good(first, 20), bad(first))
    assert scene.all() == []
    assert not scene.monitoring.busy
    configuration.set_flag(Flag.ENABLE_MONITOR, FlagState(True), By("ann"))
    scene.core.live.changed()
    scene.looks(HEALTHY_LOOKS, good(first))
    scene.looks(3, good(first, 20), bad(first))
    assert len(scene.all()) == 1


def test_who_does_not_lead_looks_at_nothing(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first))
    scene.monitoring._lead = lambda: None
    scene.looks(4, good(first, 20), bad(first))
    assert scene.all() == []


def test_a_look_that_took_long_is_followed_by_none_for_a_while(scene: Scene) -> None:
    readings = iter([scene.here])
    scene.here += 0.1
    scene.monitoring._clock = lambda: next(readings, scene.here)
    assert scene.monitoring.round()
    scene.here += 0.1 / 0.02 - 0.2
    assert not scene.monitoring.round()
    scene.here += 0.2
    assert scene.monitoring.round()


def test_a_canary_is_sent_where_no_job_comes_to_probe(database: Database) -> None:
    scene = Scene(database, monitor_canary=True, monitor_canary_organization="ops")
    first, _ = pair(scene)
    incident = browned_out(scene, first)
    scene.looks(2)
    assert not scene.all()[0].did("canary")
    with database.transaction() as connection:
        due = scene.time - timedelta(seconds=60)
        connection.execute(sa.update(breakers).values(until=due))
    scene.looks(3)
    [after] = scene.all()
    [sent] = [step for step in after.steps if step.act == "canary"]
    job = scene.store.job(sent.after["job"])
    assert (job["organization"], job["workspace"], job["metadata"]) == ("ops", "monitor", {"incident": incident.id})
    assert job["constraints"]["pin"] == first
    scene.age(11.0)
    scene.look()
    assert sum(step.act == "canary" for step in scene.all()[0].steps) == 2


def test_a_queue_that_gets_older_is_told_ahead_and_told_again_when_it_comes_to_it(scene: Scene) -> None:
    waited = {"seconds": 0.0}
    queue = (Stage.GUARD, Lane.BULK)
    scene.monitoring._backlogs.queues = lambda: {queue: Backlog(9, waited["seconds"])}  # type: ignore[method-assign]
    foretold = None
    for _ in range(500):
        waited["seconds"] += 10.0
        scene.look(seconds=10.0)
        found = scene.all()
        foretold = foretold or (found and found[0])
        if found and not found[0].forecast:
            break
    assert foretold
    assert (foretold.kind, foretold.forecast, foretold.state) == (IncidentKind.QUEUE_AGE, True, IncidentState.OPEN)
    assert 60 < foretold.evidence["in_seconds"] <= 1_800
    [came_true] = scene.all()
    assert (came_true.id, came_true.forecast) == (foretold.id, False)
    assert came_true.evidence["measured"] > 3_600
    assert scene.told()[:2] == ["incident.opened", "incident.opened"]


def test_a_forecast_that_does_not_come_true_is_closed(scene: Scene) -> None:
    waited = {"seconds": 0.0}
    queue = (Stage.GUARD, Lane.BULK)
    scene.monitoring._backlogs.queues = lambda: {queue: Backlog(9, waited["seconds"])}  # type: ignore[method-assign]
    for step in range(500):
        if not scene.all():
            waited["seconds"] += 10.0
        scene.look(seconds=10.0)
        if step % 10 == 0 and scene.all() and not scene.incidents.live():
            break
    [incident] = scene.all()
    assert (incident.forecast, incident.state) == (True, IncidentState.CLOSED)
    assert [step.act for step in incident.steps] == ["verify"]
