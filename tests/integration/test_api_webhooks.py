"""Webhook endpoints over HTTP, by the client and by the command line: secrets shown once, versions, tenants, acts."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest
import sqlalchemy as sa

from api.v1.webhook_views import DeliveryList, Sent, WebhookList, WebhookView, WebhookWithSecret
from scheduler.webhooks.delivery import WebhookDelivery
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.queue.happenings import tell
from synthralos.store.sql.database import Database
from synthralos.store.tables import audit_log
from synthralos_client import Client
from tests.conformance.test_store_feed import opened
from tests.fakes.commands import in_process
from tests.fakes.feeds import settle
from tests.fakes.receivers import Receiver, receiver
from tests.fakes.schedules import Leader
from tests.integration.api_place import ACME, Place, api_over, core_over, fields_of

WEBHOOKS = "/api/v1/webhooks"
URL = "https://example.com/hooks"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database, webhook_networks="127.0.0.0/8")) as place:
        yield place


@pytest.fixture
def leader(place: Place) -> Iterator[None]:
    """The delivery runs as the leader's."""
    lead = Leader(place.store).lead
    delivery = WebhookDelivery(place.core, lambda: lead)
    delivery.start(place.core.bus)
    yield
    delivery.stop()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def made(client: httpx.Client, url: str = URL, **fields: Any) -> dict[str, Any]:
    answer = client.post(WEBHOOKS, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    WebhookWithSecret.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def happened(place: Place, *subjects: str) -> None:
    with place.core.database.transaction() as connection:
        tell(connection, [opened(subject, "acme") for subject in subjects])
    settle(place.core.database)
    place.core.bus.publish(Topic.FEED, ["something"])


def test_an_endpoint_is_made_read_changed_and_removed(place: Place) -> None:
    client = place.client()
    endpoint = made(client, types=["job.*"], description="ours")
    assert endpoint["secret"].startswith("whsec_")
    url = f"{WEBHOOKS}/{endpoint['id']}"
    read = client.get(url)
    WebhookView.model_validate_json(read.content)
    assert read.headers["ETag"] == '"1"'
    assert {**read.json(), "secret": endpoint["secret"]} == endpoint
    changed = client.put(url, json={"url": URL, "enabled": False}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["enabled"], changed.json()["types"]) == (200, False, [])
    assert client.put(url, json={"url": URL}, headers={"If-Match": '"1"'}).status_code == 412
    listed = client.get(WEBHOOKS)
    WebhookList.model_validate_json(listed.content)
    assert [each["id"] for each in listed.json()["webhooks"]] == [endpoint["id"]]
    assert client.delete(url, headers={"If-Match": '"1"'}).status_code == 412
    assert client.delete(url, headers={"If-Match": '"2"'}).status_code == 200
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://10.0.0.1/x"}, "url"),
        ({"url": "https://[::1]/x"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://me:secret@example.com"}, "url"),
        ({"url": URL, "types": ["job.succeded"]}, "types"),
        ({"url": URL, "form": "xml"}, "form"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
        ({}, "url"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(place: Place, fields: dict[str, Any], field: str) -> None:
    answer = place.client().post(WEBHOOKS, json=fields)
    assert answer.status_code == 422
    assert fields_of(answer) == [field]


def test_without_allowed_networks_only_encrypted_addresses_are_taken(database: Database) -> None:
    with api_over(core_over(database)) as place:
        answer = place.client().post(WEBHOOKS, json={"url": "http://example.com/"})
        assert fields_of(answer) == ["url"]
        assert fields_of(place.client().post(WEBHOOKS, json={"url": "https://127.0.0.1/"})) == ["url"]


def test_tenants_and_roles_are_kept_apart(place: Place) -> None:
    endpoint = made(place.client())
    url = f"{WEBHOOKS}/{endpoint['id']}"
    other = place.client(Role.ADMIN, Scope("other"))
    assert other.get(WEBHOOKS).json()["webhooks"] == []
    for method, path in (
        ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/test"), ("GET", "/deliveries"),
    ):  # fmt: skip
        answer = other.request(method, url + path, **({"json": {"url": URL}} if method == "PUT" else {}))
        assert answer.status_code == 404, (method, path)
    assert other.post(WEBHOOKS, json={"url": URL, "organization": "acme"}).status_code == 403
    for role in (Role.VIEWER, Role.SERVICE):
        assert place.client(role).get(WEBHOOKS).status_code == 403
    assert place.client(Role.OPERATOR).get(url).status_code == 200
    assert place.client(Role.OPERATOR).post(f"{url}/test").status_code == 403
    assert place.client(Role.ADMIN, Scope("acme", "main")).get(url).status_code == 403
    whole = made(place.client(Role.ADMIN, EVERYTHING), organization="acme")
    assert whole["organization"] == "acme"


def test_a_secret_is_shown_once_and_is_nowhere_else(
    place: Place, hook: Receiver, leader: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = place.client()
    endpoint = made(client, hook.url)
    url = f"{WEBHOOKS}/{endpoint['id']}"
    rotated = client.post(f"{url}/rotate-secret", json={"overlap_seconds": 60}).json()
    client.post(f"{url}/test")
    hook.next()
    secrets = [each["secret"].removeprefix("whsec_") for each in (endpoint, rotated)]
    assert len(set(secrets)) == 2
    shown = [client.get(path).text for path in (url, WEBHOOKS, f"{url}/deliveries", "/api/v1/audit")]
    shown.append(caplog.text)
    with place.core.database.snapshot() as connection:
        shown.append(str(connection.execute(sa.select(audit_log)).all()))
    assert not [text for text in shown for secret in secrets if secret in text]
    changes = client.get("/api/v1/audit", params={"subject": f"webhook:{endpoint['id']}"}).json()["changes"]
    acts = [entry["act"] for entry in changes]
    assert acts == ["webhooks.test", "webhooks.rotate_secret", "webhooks.create"]


def test_a_test_event_arrives_and_a_delivery_is_retried(place: Place, hook: Receiver, leader: None) -> None:
    client = place.client()
    endpoint = made(client, hook.url)
    url = f"{WEBHOOKS}/{endpoint['id']}"
    sent = client.post(f"{url}/test")
    assert sent.status_code == 202
    Sent.model_validate_json(sent.content)
    asked = hook.next()
    sdk = openai.OpenAI(api_key="unused")
    sdk.webhooks.verify_signature(asked.body, asked.headers, secret=endpoint["secret"])
    assert asked.json()["type"] == "webhook.test"
    listed = client.get(f"{url}/deliveries")
    DeliveryList.model_validate_json(listed.content)
    [delivery] = listed.json()["deliveries"]
    assert delivery["id"] == sent.json()["deliveries"][0]
    again = client.post(f"{url}/deliveries/{delivery['id']}/retry", json={"reason": "it was asleep"})
    assert again.status_code == 202
    assert hook.next().headers["webhook-id"] == asked.headers["webhook-id"]
    assert client.post(f"{url}/deliveries/{endpoint['id']}/retry").status_code == 404


def test_what_happened_is_sent_again(place: Place, hook: Receiver, leader: None) -> None:
    client = place.client()
    happened(place, "before")
    endpoint = made(client, hook.url, types=["breaker.*"])
    happened(place, "after")
    assert hook.next().json()["subject"] == "after"
    replayed = client.post(f"{WEBHOOKS}/{endpoint['id']}/replay", json={"since": YESTERDAY})
    assert replayed.status_code == 202, replayed.text
    assert len(replayed.json()["deliveries"]) == 2
    assert replayed.json()["next_since"] is None
    assert sorted(hook.next().json()["subject"] for _ in range(2)) == ["after", "before"]
    old = client.post(f"{WEBHOOKS}/{endpoint['id']}/replay", json={"since": "2020-01-01T00:00:00Z"})
    assert fields_of(old) == ["since"]


def test_the_client_and_the_command_line_do_it(
    place: Place,
    hook: Receiver,
    leader: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = place.key(Role.ADMIN, ACME)
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", key)
    run = in_process(monkeypatch, capsys)
    created = json.loads(run("webhooks", "create", hook.url, "--type", "breaker.*", "--json").out)
    assert created["secret"].startswith("whsec_")
    assert run("webhooks", "pause", created["id"]).code == 0
    happened(place, "one")
    assert run("webhooks", "resume", created["id"]).code == 0
    assert hook.next().json()["subject"] == "one"
    assert run("webhooks", "test", created["id"]).code == 0
    assert hook.next().json()["type"] == "webhook.test"
    listed = run("webhooks", "deliveries", created["id"])
    assert "webhook.test" in listed.out
    assert "whsec_" in run("webhooks", "rotate-secret", created["id"]).out
    assert created["id"] in run("webhooks", "list").out
    assert run("webhooks", "replay", created["id"], YESTERDAY[:10]).code == 0
    with Client(place.url, key) as client:
        assert client.feed.page(since=YESTERDAY)["events"][0]["subject"] == "one"
        first = next(client.feed.events(since=YESTERDAY, type=["breaker.*", "job.*"]))
        assert (first.kind, first.data["subject"]) == ("breaker.opened", "one")
        [delivered] = [each for each in client.webhooks.deliveries(created["id"]) if each["type"] == "breaker.opened"]
        client.webhooks.retry(created["id"], delivered["id"])
    assert run("webhooks", "remove", created["id"]).code == 0
