"""A deployment gets slow; then the leader is killed, and all connections die: one incident, repaired once, verified."""

import math
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from synthralos.domain.breakers import BreakerState
from synthralos.domain.detection import FALSE_ALARMS, SLOWER, LevelDetector, Sums
from synthralos.domain.incidents import IncidentKind, IncidentState, Subject, SubjectKind
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import IncidentStore
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import baselines, happenings
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader

SLOW = Subject(SubjectKind.DEPLOYMENT, "fake/small@us")
JOBS_A_LOOK = 1


def _learned() -> dict[str, Any]:
    """What the monitor would know after some minutes of calls that take 20 ms."""
    detector = LevelDetector(SLOWER)
    x, y = math.log(5), math.log(0.02)
    for _ in range(100):
        detector.look(Sums(50, 50 * x, 50 * y, 50 * x * x, 50 * x * y, 50 * y * y), 2.0, FALSE_ALARMS)
    return detector.stored()


def _know(site: Site) -> None:
    row = {"kind": str(IncidentKind.LATENCY), "subject": str(SLOW), "learned": _learned(), "at": utcnow()}
    with site.database.transaction() as connection:
        connection.execute(sa.insert(baselines).values(row))


def _terminate_connections(site: Site) -> None:
    url = site.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        connection.execute(f"{others} WHERE datname = current_database() AND pid <> pg_backend_pid()")


@pytest.mark.timeout(300)
def test_a_slow_deployment_is_shut_off_once_and_comes_back_by_probes(make_site: Callable[..., Site]) -> None:
    site = make_site()
    _know(site)
    everybody = [site.scheduler() for _ in range(2)]
    site.worker()
    store, breakers = IncidentStore(site.database), BreakerStore(site.database)

    def under_load(condition: Callable[[], Any], what: str) -> Any:
        def looked() -> Any:
            site.submit(JOBS_A_LOOK, model="small")
            return condition()

        return site.eventually(looked, what)

    site.provider.behave(model="fake", delay=0.5)
    [incident] = under_load(store.live, "the incident is opened")
    assert (incident.kind, incident.subject) == (IncidentKind.LATENCY, SLOW)
    under_load(lambda: breakers.get(SLOW.name), "the breaker is opened")
    the_leader(site, everybody).kill()
    _terminate_connections(site)
    site.provider.reset()
    under_load(lambda: breakers.get(SLOW.name).state is BreakerState.CLOSED, "its probes pass")  # type: ignore[union-attr]
    the_leader(site, everybody)
    [after] = store.live()
    assert (after.id, after.state) == (incident.id, IncidentState.VERIFYING)
    assert [(step.act, step.outcome) for step in after.steps] == [("open_breaker", "begun"), ("open_breaker", "done")]
    changes = [each for each in breakers.changes(SLOW.name, 100) if each.after is BreakerState.OPEN]
    assert [each.actor for each in changes] == ["monitor"]
    told = site.query(sa.select(happenings.c.kind).where(happenings.c.kind.startswith("incident.")))
    assert [row.kind for row in told] == ["incident.opened"]
    site.check_promises()
