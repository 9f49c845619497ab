"""A leader's monitor over a ledger that a test fills, on a clock that the test moves."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from scheduler.monitoring.monitor import LOOK_EVERY, Monitoring
from scheduler.monitoring.parts import build_monitoring
from scheduler.monitoring.repairs import Asked, IncidentRepairer
from synthralos.core import Core
from synthralos.domain.failures import FailureClass
from synthralos.domain.incidents import Incident
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import IncidentFilter, IncidentStore
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import breakers, happenings, incidents
from tests.fakes.ledger import Calls, book, now
from tests.fakes.stores import Store
from tests.integration.api_place import core_over

HEALTHY_LOOKS = 12


class Repairer:
    """Somebody who repairs what they are asked to, if they are `willing`."""

    def __init__(self, *, willing: bool) -> None:
        self.willing = willing
        self.asked: list[str] = []
        self.said: Asked | None = None

    def ask(self, incident: Incident) -> Asked:
        self.asked.append(incident.id)
        return Asked(self.willing, "I take care of it" if self.willing else "I do not")

    def answer(self, incident: Incident) -> Asked | None:
        return self.said


class Scene:
    """A leader whose clock the test moves; the ledger's times follow it, so that a look sees what is booked for it."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        self.core: Core = core_over(database, **settings)
        self.store = Store(database)
        self.incidents = IncidentStore(database)
        self.breakers = BreakerStore(database)
        self.here = 1_000.0
        self.time = now(database) - timedelta(hours=1)
        self.somebody = Repairer(willing=False)
        self.repairer: IncidentRepairer = self.somebody
        self.process = Processes(database).register("scheduler")
        self.term = 0
        self.lead()
        self.monitoring = self.another()
        self.deployments = [deployment.id for deployment in self.core.catalog]

    def lead(self) -> None:
        """Lead, in a new term."""
        Leadership(self.database, "scheduler", self.process, 600.0).resign()
        term = Leadership(self.database, "scheduler", self.process, 600.0).campaign()
        assert term is not None
        self.term = term

    def another(self) -> Monitoring:
        """A monitor without anything in its memory, in a new term."""
        self.lead()
        made = build_monitoring(self.core, lambda: Lead("scheduler", self.process, self.term), self.repairer)
        made._clock = lambda: self.here
        made._calls.now = lambda: self.time  # type: ignore[method-assign]
        return made

    def look(self, *calls: Calls, seconds: float = LOOK_EVERY) -> None:
        """Time goes on, these calls end in it, and the monitor looks."""
        self.here += seconds
        self.time += timedelta(seconds=seconds)
        book(self.database, self.time - timedelta(seconds=1.5), calls)
        self.monitoring.round()

    def looks(self, times: int, *calls: Calls, seconds: float = LOOK_EVERY) -> None:
        for _ in range(times):
            self.look(*calls, seconds=seconds)

    def all(self) -> list[Incident]:
        return self.incidents.page(IncidentFilter(), EVERYTHING, 100)

    def told(self) -> list[str]:
        return [row["kind"] for row in self.store.rows(happenings) if row["kind"].startswith("incident.")]

    def age(self, seconds: float) -> None:
        """Let the last step of every incident be that long ago, beside the clock of the scene."""
        for row in self.store.rows(incidents):
            steps = [{**step, "at": (self.time - timedelta(seconds=seconds)).isoformat()} for step in row["steps"]]
            with self.database.transaction() as connection:
                mine = incidents.c.id == row["id"]
                connection.execute(sa.update(incidents).where(mine).values(steps=steps))


def pair(scene: Scene) -> tuple[str, str]:
    """A deployment, and another one of the same model."""
    by_model: dict[str, list[str]] = {}
    for deployment in scene.core.catalog:
        by_model.setdefault(deployment.model, []).append(deployment.id)
    [first, second, *_] = next(names for names in by_model.values() if len(names) > 1)
    return first, second


def alone(scene: Scene) -> str:
    """A deployment beside which there is no other one of its model."""
    models = [deployment.model for deployment in scene.core.catalog]
    return next(each.id for each in scene.core.catalog if models.count(each.model) == 1)


def good(deployment: str, number: int = 40, **more: Any) -> Calls:
    return Calls(deployment, number, **more)


def bad(deployment: str, number: int = 20, failure: FailureClass = FailureClass.SERVER_ERROR, **more: Any) -> Calls:
    return Calls(deployment, number, failure, **more)


def browned_out(scene: Scene, deployment: str) -> Incident:
    """An incident of the deployment's failures, just opened and repaired."""
    scene.looks(HEALTHY_LOOKS, good(deployment))
    assert scene.all() == []
    scene.looks(3, good(deployment, 20), bad(deployment))
    [incident] = scene.all()
    return incident


def probed(scene: Scene, deployment: str) -> None:
    """Let all the probes of its breaker pass."""
    with scene.database.transaction() as connection:
        connection.execute(sa.update(breakers).values(until=utc_in(sa.literal(-1.0))))
    for _ in range(7):
        assert scene.breakers.claim_probe(deployment, "worker")
        scene.breakers.probed(deployment, None, "worker")
