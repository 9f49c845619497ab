"""`Idempotency-Key` on the calls that make something: a repeat makes nothing more, and gets the same answer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from synthralos.store.tables import (
    api_keys,
    backfills,
    budgets,
    deliveries,
    firings,
    policy_sets,
    repairs,
    schedules,
    webhook_endpoints,
)
from tests.integration.api_place import Place, api_over, core_over, fields_of
from tests.integration.test_api_repairs import LINK, parked

SCHEDULE = {"name": "nightly", "cron": "0 3 * * *", "job": {"model": "auto", "prompt": "hi"}}
BACKFILL = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z"}
RULE = {
    "id": "no",
    "when": {"field": "prompt_characters", "op": "gt", "value": 1_000_000},
    "then": [{"action": "deny"}],
}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database, **LINK)) as place:
        yield place


def schedule_of(place: Place, client: httpx.Client) -> str:
    return str(client.post("/api/v1/schedules", json=SCHEDULE).json()["id"])


def webhook_of(place: Place, client: httpx.Client) -> str:
    return str(client.post("/api/v1/webhooks", json={"url": "https://example.com/hooks"}).json()["id"])


Owner = Callable[[Place, httpx.Client], str]

CALLS: dict[str, tuple[str, dict[str, Any], dict[str, Any], sa.Table, Owner | None]] = {
    "budget": ("/budgets", {"name": "a", "per": "organization", "period": "day", "limit_usd": "1"},
               {"name": "b", "per": "organization", "period": "day", "limit_usd": "1"}, budgets, None),
    "policy": ("/policies", {"name": "a", "rules": [RULE]}, {"name": "b", "rules": [RULE]}, policy_sets, None),
    "schedule": ("/schedules", SCHEDULE, {**SCHEDULE, "name": "other"}, schedules, None),
    "run": ("/schedules/{}/run", {}, {"reason": "again"}, firings, schedule_of),
    "backfill": ("/schedules/{}/backfill", BACKFILL, {**BACKFILL, "overlap": "queue_all"}, backfills, schedule_of),
    "test": ("/webhooks/{}/test", {}, {"reason": "again"}, deliveries, webhook_of),
}  # fmt: skip
"""By name: the path, a body, another body, the table that gets a row, and what makes the one in the path."""

SECRET: dict[str, tuple[str, dict[str, Any], sa.Table]] = {
    "key": ("/keys", {"name": "a"}, api_keys),
    "webhook": ("/webhooks", {"url": "https://example.com/hooks"}, webhook_endpoints),
}


def count(place: Place, table: sa.Table) -> int:
    with place.core.database.snapshot() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("name", CALLS)
def test_a_repeat_makes_nothing_more_and_gets_the_same_answer(place: Place, name: str) -> None:
    path, body, other, table, owner = CALLS[name]
    client = place.client(Role.ADMIN, EVERYTHING)
    path = "/api/v1" + path.format(owner(place, client) if owner else "")
    headers = {"Idempotency-Key": "once"}
    before = count(place, table)
    with ThreadPoolExecutor(8) as threads:  # at the same moment
        answers = list(threads.map(lambda _: client.post(path, json=body, headers=headers), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 202}, answers[0].text
    without = [{k: v for k, v in answer.json().items() if k != "warnings"} for answer in answers]
    assert all(each == without[0] for each in without)
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert count(place, table) == before + 1
    refused = client.post(path, json=other, headers=headers)
    assert (refused.status_code, fields_of(refused)) == (422, ["header.Idempotency-Key"])
    assert client.post(path, json=body, headers={"Idempotency-Key": "twice"}).status_code == answers[0].status_code
    assert count(place, table) == before + 2


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_shown_once_also_to_who_repeats(place: Place, name: str) -> None:
    path, body, table = SECRET[name]
    client, headers = place.client(), {"Idempotency-Key": "once"}
    first = client.post(f"/api/v1{path}", json=body, headers=headers)
    before = count(place, table)
    again = client.post(f"/api/v1{path}", json=body, headers=headers)
    assert (first.status_code, again.status_code, count(place, table)) == (201, 409, before)
    secret = first.json()["key" if name == "key" else "secret"]
    assert secret not in again.text
    assert "otate it" in again.json()["detail"]


def test_a_repair_is_asked_for_once_under_a_key_also_after_it_is_over(place: Place) -> None:
    client, headers = place.client(Role.OPERATOR), {"Idempotency-Key": "once"}
    job_id, _ = parked(place, client)
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    first = client.post(f"/api/v1/jobs/{job_id}/repair", json={}, headers=headers)
    assert first.status_code == 202, first.text
    with place.core.database.transaction() as connection:
        connection.execute(sa.update(repairs).values(state="failed", ended_at=sa.func.current_timestamp()))
    again = client.post(f"/api/v1/jobs/{job_id}/repair", json={}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert client.post(f"/api/v1/jobs/{job_id}/repair", json={}).json()["id"] != first.json()["id"]


def test_tenants_have_keys_of_their_own(place: Place) -> None:
    acme, other = place.client(), place.client(Role.ADMIN, Scope("other"))
    made = [c.post("/api/v1/schedules", json=SCHEDULE, headers={"Idempotency-Key": "x"}) for c in (acme, other)]
    assert made[0].json()["id"] != made[1].json()["id"]
