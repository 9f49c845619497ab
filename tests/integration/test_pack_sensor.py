"""The StackStorm pack's sensor against the real API: all is told at least once, by closed payloads, whatever fails."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.incidents import Subject, SubjectKind
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import IncidentStore
from synthralos.store.tables import results
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stackstorm_pack import StackStorm, stackstorm
from tests.fakes.stackstorm_schemas import payload_problems
from tests.integration.api_place import Place
from tests.integration.test_api_incidents import found

FAILURE = Failure(FailureClass.OVERLOADED, "try later", http_status=529, retry_after=2.5).to_json()


@pytest.fixture(scope="module")
def place(pack_place: Place) -> Place:
    return pack_place


@pytest.fixture
def tenant() -> Tenant:
    """The test's own: it sees nobody else's jobs."""
    return Tenant(uuid.uuid4().hex, "main")


@pytest.fixture
def pack(place: Place, tenant: Tenant) -> Iterator[StackStorm]:
    with stackstorm(place.url, place.key(Role.OPERATOR, Scope(tenant.organization))) as pack:
        yield pack


def _dead(place: Place, tenant: Tenant, count: int = 1) -> list[str]:
    ids = place.store.submit(*(new_job(tenant=tenant) for _ in range(count)))
    _fail(place, ids)
    return ids


def _fail(place: Place, ids: list[str]) -> None:
    claimed = place.store.claim(ids)
    assert len(claimed) == len(ids)
    for job in claimed:
        assert place.store.settle(settlement(job, Transition.FAIL, failure=FAILURE))


def _told(triggers: list[dict[str, Any]]) -> list[str]:
    for each in triggers:
        assert payload_problems(each["trigger"], each["payload"]) == []
    return sorted(each["payload"]["job_id"] for each in triggers if each["trigger"] == "synthralos.dead_letter")


def test_each_dead_letter_is_told_once_and_again_when_it_dies_again(
    place: Place, tenant: Tenant, pack: StackStorm
) -> None:
    assert pack.poll() == []
    ids = _dead(place, tenant, 3)
    told = pack.poll()
    assert _told(told) == sorted(ids)
    assert told[0]["payload"]["failure_class"] == "overloaded"
    assert pack.poll() == []
    assert pack.run("job_retry", job_id=ids[0])["changed"] is True
    _fail(place, ids[:1])
    assert _told(pack.poll()) == ids[:1]


def test_what_was_dead_before_the_first_look_is_not_told(place: Place, tenant: Tenant, pack: StackStorm) -> None:
    ids = _dead(place, tenant)
    earlier = datetime.now(UTC) - timedelta(minutes=1)
    with place.core.database.transaction() as connection:
        connection.execute(sa.update(results).where(results.c.job_id.in_(ids)).values(finished_at=earlier))
    assert pack.poll() == []
    assert pack.poll() == []
    later = _dead(place, tenant)
    assert _told(pack.poll()) == later


def test_a_datastore_that_cannot_be_read_is_not_taken_for_an_empty_one(
    place: Place, tenant: Tenant, pack: StackStorm
) -> None:
    assert pack.poll() == []
    ids = _dead(place, tenant)
    kept = dict(pack.values)
    assert pack.poll(failing="reads") == []
    assert pack.values == kept
    assert _told(pack.poll()) == ids


def test_what_was_told_and_not_kept_is_told_again(place: Place, tenant: Tenant, pack: StackStorm) -> None:
    assert pack.poll() == []
    ids = _dead(place, tenant)
    assert _told(pack.poll(failing="writes")) == ids
    assert _told(pack.poll()) == ids
    assert pack.poll() == []


def test_a_sensor_outlives_an_api_that_is_away_and_a_configuration_that_is_missing(
    place: Place, tenant: Tenant, pack: StackStorm
) -> None:
    assert pack.poll() == []
    ids = _dead(place, tenant)
    right = pack.config
    for wrong in ({**right, "url": "http://127.0.0.1:9"}, {}, {**right, "api_key": "sk-syn-nobodys"}):
        pack.config = wrong
        assert pack.poll() == []
    pack.config = right
    assert _told(pack.poll()) == ids


def test_a_breaker_that_opens_is_told_once_also_where_it_closed_meanwhile(place: Place) -> None:
    breakers = BreakerStore(place.core.database)
    first = sorted(deployment.id for deployment in place.core.catalog)[0]
    with stackstorm(place.url, place.key(Role.OPERATOR, EVERYTHING)) as pack:
        pack.poll()
        breakers.broken(first, "500 all along", "worker-1")
        assert pack.run("breaker_reset", name=first)["changed"] is True
        opened = [each for each in pack.poll() if each["trigger"] == "synthralos.breaker_opened"]
        assert [each["payload"]["name"] for each in opened] == [first]
        assert payload_problems("synthralos.breaker_opened", opened[0]["payload"]) == []
        assert [each for each in pack.poll() if each["trigger"] == "synthralos.breaker_opened"] == []


def test_an_incident_is_told_when_it_opens_and_when_it_closes(place: Place, tenant: Tenant, pack: StackStorm) -> None:
    assert pack.poll() == []
    subject = Subject(SubjectKind.ORGANIZATION, tenant.organization)
    [incident] = found(place, subject)
    [opened] = pack.poll()
    assert (opened["trigger"], opened["payload"]["id"]) == ("synthralos.incident_opened", incident.id)
    assert payload_problems(opened["trigger"], opened["payload"]) == []
    assert pack.poll() == []
    IncidentStore(place.core.database).resolve(incident.id, EVERYTHING, By("ann"))
    [closed] = pack.poll()
    assert (closed["trigger"], closed["payload"]["subject"]) == ("synthralos.incident_closed", str(subject))
    assert payload_problems(closed["trigger"], closed["payload"]) == []
    assert pack.poll() == []


def test_an_incident_that_came_and_went_between_two_looks_is_told_of_twice(
    place: Place, tenant: Tenant, pack: StackStorm
) -> None:
    assert pack.poll() == []
    [incident] = found(place, Subject(SubjectKind.ORGANIZATION, tenant.organization))
    IncidentStore(place.core.database).resolve(incident.id, EVERYTHING, By("ann"))
    told = [each["trigger"] for each in pack.poll()]
    assert told == ["synthralos.incident_opened", "synthralos.incident_closed"]
