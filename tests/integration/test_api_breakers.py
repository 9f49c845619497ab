"""Circuit breakers over HTTP and on the command line."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from api.v1.breakers import BreakerChangeList, BreakerList, BreakerView
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.integration.api_place import Place, api_over, core_over

BREAKERS = "/api/v1/breakers"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR, EVERYTHING)


def test_all_are_listed_and_one_is_reset(place: Place, root: httpx.Client) -> None:
    [first, *_] = [deployment.id for deployment in place.core.catalog]
    heard = threading.Event()
    place.core.bus.subscribe(Topic.BREAKERS, lambda _: heard.set())
    BreakerStore(place.core.database).broken(first, "500 all along", "worker-1")
    listed = root.get(BREAKERS)
    BreakerList.model_validate_json(listed.content)
    states = {each["name"]: each["state"] for each in listed.json()["breakers"]}
    assert states.pop(first) == "open"
    assert states
    assert set(states.values()) == {"closed"}
    shown = root.get(f"{BREAKERS}/{first}").json()
    assert (shown["reason"], shown["kind"], shown["opened"]) == ("500 all along", "deployment", 1)
    after = root.post(f"{BREAKERS}/{first}/reset", json={"reason": "mended"})
    BreakerView.model_validate_json(after.content)
    assert (after.json()["state"], after.json()["reason"]) == ("closed", "mended")
    assert heard.wait(30)
    changes = root.get("/api/v1/breaker-changes", params={"name": first, "limit": 1})
    BreakerChangeList.model_validate_json(changes.content)
    following = root.get("/api/v1/breaker-changes", params={"cursor": changes.json()["next"]}).json()["changes"]
    assert [each["after"] for each in [*changes.json()["changes"], *following]] == ["closed", "open"]


def test_a_tenant_sees_states_and_no_reasons_and_resets_nothing(place: Place) -> None:
    [first, *_] = [deployment.id for deployment in place.core.catalog]
    BreakerStore(place.core.database).broken(first, "somebody's words", "worker-1")
    tenant = place.client(Role.OPERATOR)
    assert tenant.get(f"{BREAKERS}/{first}").json()["reason"] is None
    assert "somebody's words" not in tenant.get(BREAKERS).text
    assert tenant.get("/api/v1/breaker-changes").status_code == 403
    assert tenant.post(f"{BREAKERS}/{first}/reset").status_code == 403
    assert place.client(Role.VIEWER, EVERYTHING).post(f"{BREAKERS}/{first}/reset").status_code == 403


def test_what_there_is_not_is_a_404(root: httpx.Client) -> None:
    assert root.get(f"{BREAKERS}/no/such@us").status_code == 404
    assert root.post(f"{BREAKERS}/no/such@us/reset").status_code == 404


def test_the_client_does_the_same(place: Place) -> None:
    [first, *_] = [deployment.id for deployment in place.core.catalog]
    BreakerStore(place.core.database).broken(first, "away", "worker-1")
    with Client(place.url, place.key(Role.ADMIN, EVERYTHING)) as client:
        assert {each["name"] for each in client.healing.breakers()} >= {first}
        assert client.healing.reset_breaker(first, reason="mended")["state"] == "closed"
        assert client.healing.breaker(first)["reason"] == "mended"
        assert [each["after"] for each in client.healing.breaker_changes(page_size=1)] == ["closed", "open"]
