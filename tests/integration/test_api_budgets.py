"""Budgets over HTTP, by the clients and by the command."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.v1.budgets import BudgetList, BudgetView
from cli.main import app
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.integration.api_place import Place, api_over, core_over, fields_of

BUDGETS = "/api/v1/budgets"
BUDGET = {"name": "acme a month", "per": "organization", "period": "month", "limit_usd": "12.5", "organization": "acme"}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def whole(place: Place) -> httpx.Client:
    return place.client(scope=EVERYTHING)


def made(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post(BUDGETS, json={**BUDGET, **more})
    assert answer.status_code == 201, answer.text
    BudgetView.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def test_a_budget_is_made_changed_raised_and_removed(place: Place, whole: httpx.Client) -> None:
    budget = made(whole)
    assert [each.name for each in place.core.live.current.budgets.all] == ["acme a month"]
    path = f"{BUDGETS}/{budget['id']}"
    changed = whole.put(path, json={**BUDGET, "limit_usd": "20", "at_limit": "park", "reason": "more"}).json()
    assert (changed["limit_usd"], changed["at_limit"], changed["alerts"]) == ("20", "park", [80, 100])
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    raised = whole.post(f"{path}/raise", json={"limit_usd": "99", "until": until, "reason": "launch"}).json()
    assert (raised["raised"]["limit_usd"], raised["raised"]["reason"]) == ("99", "launch")
    assert whole.put(path, json=BUDGET).json()["raised"] == raised["raised"]
    acts = [each["act"] for each in whole.get("/api/v1/audit", params={"subject": "budget:*"}).json()["changes"]]
    assert acts == ["budgets.change", "budgets.raise", "budgets.change", "budgets.create"]
    assert whole.delete(path).status_code == 200
    assert whole.get(path).status_code == 404
    assert place.core.live.current.budgets.all == ()


def test_a_tenant_sees_its_own_budgets_and_changes_none(place: Place, whole: httpx.Client) -> None:
    budget = made(whole)
    made(whole, organization="other")
    made(whole, organization=None)
    acme, other = place.client(), place.client(scope=Scope("elsewhere"))
    found = acme.get(BUDGETS)
    BudgetList.model_validate_json(found.content)
    assert [each["id"] for each in found.json()["budgets"]] == [budget["id"]]
    assert other.get(f"{BUDGETS}/{budget['id']}").status_code == 404
    assert acme.get(f"{BUDGETS}/{budget['id']}").json()["uses"] == []
    assert acme.post(BUDGETS, json=BUDGET).status_code == 403
    assert place.client(Role.VIEWER, EVERYTHING).post(BUDGETS, json=BUDGET).status_code == 403


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"limit_usd": "2000000"}, "limit_usd"),
        ({"period": "week"}, "period"),
        ({"per": "planet"}, "per"),
        ({"period": "total", "at_limit": "park"}, "at_limit"),
        ({"organization": None, "workspace": "main"}, "workspace"),
        ({"alerts": [0]}, "alerts[0]"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_no_budget_can_be_is_named(whole: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    answer = whole.post(BUDGETS, json={**BUDGET, **wrong})
    assert (answer.status_code, fields_of(answer)) == (422, [field])


def test_a_limit_is_raised_for_a_time_to_come_and_with_a_reason(whole: httpx.Client) -> None:
    path = f"{BUDGETS}/{made(whole)['id']}/raise"
    past = {"limit_usd": "99", "until": "2026-01-01T00:00:00Z", "reason": "launch"}
    assert fields_of(whole.post(path, json=past)) == ["until"]
    assert fields_of(whole.post(path, json={**past, "until": "2030-01-01T00:00:00Z", "reason": ""})) == ["reason"]


def test_the_clients_do_the_same(place: Place) -> None:
    key = place.key(Role.ADMIN, EVERYTHING)
    with Client(place.url, key) as client:
        budget = client.spending.create_budget("runs", "run", "total", "2", at_limit="cheaper", organization="acme")
        client.spending.replace_budget(budget["id"], "runs", "run", "total", "3")
        raised = client.spending.raise_budget(budget["id"], "9", datetime.now(UTC) + timedelta(hours=1), "launch")

    async def others() -> list[Any]:
        async with AsyncClient(place.url, key) as client:
            found = [await client.spending.budget(budget["id"]), *await client.spending.budgets()]
            return [*found, await client.spending.remove_budget(budget["id"]), await client.spending.budgets()]

    one, listed, removed, none = asyncio.run(others())
    assert one == raised
    assert {**listed, "uses": []} == one == {**removed, "uses": []}
    assert none == []


def test_the_command_does_the_same(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)

    def run(*words: str, code: int = 0) -> Any:
        told = CliRunner().invoke(app, ["--json", "budgets", *words, "--database-url", url])
        assert told.exit_code == code, told.output
        return json.loads(told.stdout) if code == 0 else told.output

    budget = run("set", "acme", "12.50", "--per", "organization", "--period", "month", "--organization", "acme")
    until = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
    run("raise", budget["id"], "99", "--until", until, "--reason", "launch")
    shown = run("show", budget["id"])
    assert (shown["limit_usd"], shown["raised"]["limit_usd"], shown["uses"]) == ("12.5", "99", [])
    assert [each["id"] for each in run("list")["budgets"]] == [budget["id"]]
    assert "USD" in run("set", "x", "lots", "--per", "run", "--period", "day", code=2)
    run("remove", budget["id"])
    assert run("list") == {"budgets": []}
    run("show", budget["id"], code=5)
