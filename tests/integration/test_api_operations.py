"""Cancel, retry and reroute: what they do, who may do them, whom they tell, and when they are refused."""

import threading
from collections.abc import Iterator, Sequence

import httpx
import pytest

from api.v1.views import JobView
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.states import Stage, Transition
from synthralos.store.sql.database import Database
from tests.fakes.jobs import failure
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of, meanwhile, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


class Heard:
    """What the bus said, and when."""

    def __init__(self, place: Place, topic: Topic) -> None:
        self._ids: list[str] = []
        self._spoke = threading.Condition()
        place.core.bus.subscribe(topic, self._hear)

    def _hear(self, ids: Sequence[str] | None) -> None:
        with self._spoke:
            self._ids += ids or ()
            self._spoke.notify_all()

    def of(self, job_id: str) -> bool:
        with self._spoke:
            return self._spoke.wait_for(lambda: job_id in self._ids, 30)


def test_a_cancelled_job_is_over_for_all_who_care(place: Place, client: httpx.Client) -> None:
    taken = Heard(place, Topic.CLAIM_REVOKED)
    job_id = submitted(client)
    place.started(job_id)

    def cancel() -> None:
        place.await_waits()
        answer = client.post(f"{JOBS}/{job_id}/cancel", json={"reason": "not needed"})
        assert answer.json()["state"] == "cancelled"
        JobView.model_validate_json(answer.content)

    with meanwhile(cancel):
        waited = place.client(Role.VIEWER).get(f"{JOBS}/{job_id}", params={"wait": 60}).json()
    assert waited["state"] == "cancelled"
    assert taken.of(job_id)
    assert place.doorbell.rung(Stage.ANALYZE) == [job_id]
    [event] = place.store.events(job_id)
    assert (event["kind"], event["data"]["reason"]) == ("cancel", "not needed")
    assert event["actor"].startswith("key:sk-syn-")


def test_a_failed_job_goes_through_again(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    place.finish(job_id, Transition.FAIL, failure=failure().to_json())
    view = client.post(f"{JOBS}/{job_id}/retry").json()
    assert (view["state"], view["stage"], view["failure"], view["finished_at"]) == ("queued", "guard", None, None)
    assert place.doorbell.rung(Stage.GUARD) == [job_id, job_id]
    assert place.store.claim([job_id])


def test_a_rerouted_job_gets_its_new_constraints_and_keeps_the_others(place: Place, client: httpx.Client) -> None:
    taken = Heard(place, Topic.CLAIM_REVOKED)
    first = {"region": "us", "max_attempts": 3, "pin": "sandbox/small@us", "classification": "none"}
    first["on_limit"] = "reject"
    job_id = submitted(client, constraints=first)
    place.started(job_id)
    changes = {"region": "eu", "pin": None, "exclude": ["sandbox/large@us"], "strategy": "cheapest", "fallback": False}
    view = client.post(f"{JOBS}/{job_id}/reroute", json={**changes, "reason": "us is down"}).json()
    assert (view["state"], view["stage"]) == ("queued", "route")
    kept = {"max_attempts": 3, "classification": "none", "on_limit": "reject"}
    expected = {**kept, "max_cost_usd": None, "max_wait_seconds": None, "private_data": None}
    expected |= {"restore_private_data": False, "reuse": "never", "zero_retention": False, "service_tier": None}
    assert view["constraints"] == {**changes, **expected}
    assert place.doorbell.rung(Stage.ROUTE) == [job_id]
    assert taken.of(job_id)


def test_eu_data_is_not_rerouted_out_of_the_eu(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client, constraints={"classification": "eu"})
    for change, field in (({"region": "us"}, "region"), ({"pin": "sandbox/small@us"}, "pin")):
        answer = client.post(f"{JOBS}/{job_id}/reroute", json=change)
        assert answer.status_code == 422
        assert fields_of(answer) == [field]
    assert client.post(f"{JOBS}/{job_id}/reroute", json={"pin": "sandbox/medium@eu"}).status_code == 200
    assert place.store.job(job_id)["constraints"]["classification"] == "eu"


def test_a_state_that_does_not_allow_it_is_a_409_that_names_those_that_do(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    refused = client.post(f"{JOBS}/{job_id}/retry")
    place.finish(job_id)
    answers = [refused, *(client.post(f"{JOBS}/{job_id}/{name}") for name in ("cancel", "retry", "reroute"))]
    assert [answer.status_code for answer in answers] == [409] * 4
    assert "queued" in refused.json()["detail"]
    assert all(state in refused.json()["detail"] for state in ("failed", "denied", "cancelled", "expired"))
    assert place.store.state(job_id) == "succeeded"


def test_a_role_may_do_what_its_rank_allows(place: Place) -> None:
    ranks = [Role.VIEWER, Role.SERVICE, Role.OPERATOR, Role.ADMIN]
    needed = {"cancel": Role.SERVICE, "retry": Role.OPERATOR, "reroute": Role.OPERATOR}
    owner = place.client(Role.ADMIN)
    for role in ranks:
        client = place.client(role)
        may = {name: ranks.index(role) >= ranks.index(least) for name, least in needed.items()}
        dead, live = submitted(owner), submitted(owner)
        place.finish(dead, Transition.FAIL, failure=failure().to_json())
        assert client.get(f"{JOBS}/{dead}").status_code == 200
        assert client.post(JOBS, json={"prompt": "x"}).status_code == (403 if role is Role.VIEWER else 202)
        assert client.post(f"{JOBS}/{live}/cancel").status_code == (200 if may["cancel"] else 403)
        assert client.post(f"{JOBS}/{dead}/retry").status_code == (200 if may["retry"] else 403)
        assert client.post(f"{JOBS}/{dead}/reroute").status_code == (200 if may["reroute"] else 403)
