"""What the leader's monitor does about incidents, whom it asks, and where it stops, over a real database."""

from collections.abc import Callable
from typing import Any

import pytest

from scheduler.monitoring.follow import MOST_AN_HOUR, QUIET, QUIET_ESCALATED
from scheduler.monitoring.monitor import LOOK_EVERY
from scheduler.monitoring.repairs import Asked
from synthralos.domain.breakers import BreakerState
from synthralos.domain.incidents import IncidentKind, IncidentState
from synthralos.store.admin.audit import By
from synthralos.store.sql.database import Database
from tests.integration.monitor_place import (
    HEALTHY_LOOKS,
    Scene,
    bad,
    browned_out,
    good,
    pair,
    probed,
)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_a_repair_that_did_not_help_is_not_made_again(scene: Scene) -> None:
    first, _ = pair(scene)
    browned_out(scene, first)
    probed(scene, first)
    scene.age(QUIET)
    scene.looks(4, good(first, 20), bad(first))
    [incident] = scene.all()
    assert incident.state is IncidentState.ESCALATED
    assert scene.somebody.asked == [incident.id]
    acts = [(step.act, step.outcome) for step in incident.steps]
    assert acts == [
        ("open_breaker", "begun"), ("open_breaker", "done"), ("ask", "begun"), ("ask", "refused"), ("escalate", "done"),
    ]  # fmt: skip
    opened = [change for change in scene.breakers.changes(first, 50) if change.after is BreakerState.OPEN]
    assert len(opened) == 1


def test_who_else_repairs_is_asked_once(scene: Scene) -> None:
    scene.somebody.willing = True
    first, _ = pair(scene)
    browned_out(scene, first)
    probed(scene, first)
    scene.age(QUIET)
    scene.looks(3, good(first, 20), bad(first))
    scene.looks(6, good(first, 20), bad(first))
    [incident] = scene.all()
    assert incident.state is IncidentState.VERIFYING
    assert scene.somebody.asked == [incident.id]
    assert (incident.steps[-1].act, incident.steps[-1].outcome) == ("ask", "under_way")


@pytest.mark.parametrize("helped", [True, False])
def test_what_somebody_else_did_is_on_record_and_watched_and_where_it_is_nothing_people_are_told(
    scene: Scene, helped: bool
) -> None:
    scene.somebody.willing = True
    first, _ = pair(scene)
    browned_out(scene, first)
    probed(scene, first)
    scene.age(QUIET)
    scene.looks(4, good(first, 20), bad(first))
    scene.somebody.said = Asked(helped, "the disk was full")
    scene.look(good(first, 20), bad(first))
    [incident] = scene.all()
    [said] = [step for step in incident.steps if step.act == "ask"][2:]
    assert (said.outcome, said.note) == ("done" if helped else "refused", "the disk was full")
    if not helped:
        assert incident.state is IncidentState.ESCALATED
        assert "the disk was full" in incident.steps[-1].note
        return
    assert incident.state is IncidentState.VERIFYING
    scene.age(QUIET)
    scene.looks(3 * int(QUIET / LOOK_EVERY), good(first))
    assert scene.all()[0].state is IncidentState.CLOSED


def test_a_deployment_that_flaps_is_not_repaired_for_ever(scene: Scene) -> None:
    first, _ = pair(scene)
    scene.looks(HEALTHY_LOOKS, good(first))
    for _ in range(MOST_AN_HOUR + 2):
        scene.looks(4, good(first, 20), bad(first))
        scene.breakers.reset(first, By("ann"))
        scene.age(QUIET)
        scene.looks(int(QUIET_ESCALATED / 10) + 8, good(first), seconds=10.0)
        assert scene.incidents.live() == []
    found = scene.all()
    assert len(found) == MOST_AN_HOUR + 2
    repaired = [each for each in found if each.did("open_breaker")]
    escalated = [each for each in found if each.did("escalate")]
    assert (len(repaired), len(escalated)) == (MOST_AN_HOUR, 2)


def test_what_goes_on_after_a_repair_is_taken_to_people_and_may_end_by_itself(scene: Scene) -> None:
    first, _ = pair(scene)
    browned_out(scene, first)
    scene.age(scene.core.settings.monitor_escalate_after)
    scene.look(bad(first, 2))
    [incident] = scene.all()
    assert incident.state is IncidentState.ESCALATED
    probed(scene, first)
    scene.looks(int(QUIET_ESCALATED / 10) + 8, good(first), seconds=10.0)
    assert scene.all()[0].state is IncidentState.CLOSED


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_leader_that_was_killed_in_a_repair_is_followed_by_one_that_goes_on(scene: Scene, done: bool) -> None:
    """`done`: whether the repair itself was made, and only its outcome is not on record."""
    first, _ = pair(scene)
    make: Callable[..., Any] = scene.breakers.broken
    killed = RuntimeError("killed")

    def dies(*arguments: Any) -> None:
        if done:
            make(*arguments)
        raise killed

    repair = scene.monitoring._following._repairs[IncidentKind.ERROR_RATE, "deployment"][0]  # type: ignore[index]
    repair._breakers.broken = dies  # type: ignore[attr-defined]
    scene.looks(HEALTHY_LOOKS, good(first))
    with pytest.raises(RuntimeError, match="killed"):
        scene.looks(3, good(first, 20), bad(first))
    assert scene.all()[0].state is IncidentState.REPAIRING
    scene.monitoring = scene.another()
    scene.looks(2, good(first, 20), bad(first))
    [incident] = scene.all()
    assert incident.state is IncidentState.VERIFYING
    assert [(step.act, step.outcome) for step in incident.steps] == [
        ("open_breaker", "begun"),
        ("open_breaker", "done"),
    ]
    opened = [change for change in scene.breakers.changes(first, 50) if change.after is BreakerState.OPEN]
    assert len(opened) == 1
    assert scene.told() == ["incident.opened"]
