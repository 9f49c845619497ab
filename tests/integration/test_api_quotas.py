"""Quotas of providers over HTTP and by the client."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from api.v1.quotas import QuotaList, QuotaView
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.integration.api_place import Place, api_over, core_over

QUOTAS = "/api/v1/quotas"
NAME = "A_KEY/vendor/model-1"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def test_what_was_learned_is_shown_and_forgotten(place: Place) -> None:
    root, heard = place.client(Role.OPERATOR, EVERYTHING), threading.Event()
    place.core.bus.subscribe(Topic.QUOTAS, lambda _: heard.set())
    QuotaStore(place.core.database).refuse(NAME, 300.0, "refused: full", [Left(Unit.REQUESTS, 600, 7)])
    listed = root.get(QUOTAS)
    QuotaList.model_validate_json(listed.content)
    shown = root.get(f"{QUOTAS}/{NAME}").json()
    assert shown in listed.json()["quotas"]
    assert (shown["credential"], shown["model"], shown["reason"]) == ("A_KEY", "vendor/model-1", "refused: full")
    [limit] = shown["limits"]
    assert (limit["unit"], limit["limit"], limit["source"], limit["left"]) == ("requests", 600, "header", 7)
    assert shown["closed_until"] is not None
    after = root.post(f"{QUOTAS}/{NAME}/reset", json={"reason": "raised"})
    QuotaView.model_validate_json(after.content)
    assert (after.json()["limits"], after.json()["closed_until"]) == ([], None)
    assert heard.wait(30)


def test_a_tenant_sees_no_reasons_and_resets_nothing(place: Place) -> None:
    QuotaStore(place.core.database).refuse(NAME, 300.0, "somebody's words", ())
    tenant = place.client(Role.OPERATOR)
    assert "somebody's words" not in tenant.get(QUOTAS).text
    assert tenant.post(f"{QUOTAS}/{NAME}/reset").status_code == 403
    assert place.client(Role.VIEWER, EVERYTHING).post(f"{QUOTAS}/{NAME}/reset").status_code == 403


def test_what_is_not_known_is_a_404(place: Place) -> None:
    root: httpx.Client = place.client(Role.OPERATOR, EVERYTHING)
    assert root.get(f"{QUOTAS}/NO/such").status_code == 404
    assert root.post(f"{QUOTAS}/NO/such/reset").status_code == 404


def test_the_client_does_the_same(place: Place) -> None:
    QuotaStore(place.core.database).refuse(NAME, 300.0, "full", ())
    with Client(place.url, place.key(Role.ADMIN, EVERYTHING)) as client:
        assert [each["name"] for each in client.healing.quotas()] == [NAME]
        assert client.healing.quota(NAME)["closed_until"]
        assert client.healing.reset_quota(NAME, reason="raised")["closed_until"] is None
