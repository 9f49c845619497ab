"""Costs over HTTP, by the client and by the command."""

import asyncio
import csv
import io
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest
from typer.testing import CliRunner

from api.v1.costs import CostPage
from cli.main import app
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.integration.api_place import ACME, Place, api_over, core_over, submitted

COSTS = "/api/v1/costs"
ONE = Decimal("0.0004425")


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def spent(place: Place, client: httpx.Client, *workspaces: str) -> None:
    for workspace in workspaces:
        place.finish(submitted(client, workspace=workspace, user="=HYPERLINK(1)"))


def test_costs_are_exact_and_grouped(place: Place, client: httpx.Client) -> None:
    spent(place, client, "a", "a", "b")
    answer = client.get(COSTS, params={"group_by": "workspace,model"})
    CostPage.model_validate_json(answer.content)
    found = answer.json()["costs"]
    assert [(each["group"], each["calls"], each["cost_usd"]) for each in found] == [
        ({"workspace": "a", "model": "small"}, 2, f"{(2 * ONE).normalize():f}"),
        ({"workspace": "b", "model": "small"}, 1, str(ONE)),
    ]
    [whole] = client.get(COSTS).json()["costs"]
    assert (whole["group"], whole["calls"], whole["cost_usd"]) == ({}, 3, str(3 * ONE))


def test_a_key_sees_what_its_tenant_spent(place: Place, client: httpx.Client) -> None:
    spent(place, client, "a", "b")
    calls = {
        scope: place.client(Role.VIEWER, scope).get(COSTS).json()["costs"][0]["calls"]
        for scope in (EVERYTHING, ACME, Scope("acme", "a"), Scope("acme", "a", "bob"), Scope("other"))
    }
    assert list(calls.values()) == [2, 2, 1, 0, 0]


def test_a_spreadsheet_gets_no_formula(place: Place, client: httpx.Client) -> None:
    spent(place, client, "a")
    for asked in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
        params = {"group_by": "user", **asked.get("params", {})}
        answer = client.get(COSTS, params=params, headers=asked.get("headers"))
        assert answer.headers["content-type"].startswith("text/csv")
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["user"], row["cost_usd"]) == ("'=HYPERLINK(1)", str(ONE))


def test_pages_lead_to_one_another(place: Place, client: httpx.Client) -> None:
    spent(place, client, "a", "b", "c")
    first = client.get(COSTS, params={"group_by": "workspace,hour", "limit": 2}).json()
    second = client.get(COSTS, params={"group_by": "workspace,hour", "limit": 2, "cursor": first["next"]}).json()
    assert [each["group"]["workspace"] for each in first["costs"] + second["costs"]] == ["a", "b", "c"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cursor": "x"}, "query.cursor"),
        ({"group_by": "colour"}, "query.group_by"),
        ({"group_by": "day", "cursor": "WyJ4Il0"}, "query.cursor"),
        ({"group_by": "run", "since": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "query.since"),
        ({"limit": "0"}, "query.limit"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "query.since"),
        ({"since": "2024-01-01T00:00:00Z"}, "query.since"),
        ({"tag": "project"}, "query.tag"),
        ({"until": "0001-01-01T00:00:00Z"}, "query.until"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_named(client: httpx.Client, params: dict[str, str], field: str) -> None:
    answer = client.get(COSTS, params=params)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


def test_the_clients_and_the_command_read_all_pages(
    place: Place, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent(place, client, "a", "b", "c")
    key = place.key(Role.VIEWER)
    with Client(place.url, key) as ours:
        found = list(ours.spending.costs(["workspace"], page_size=1))

    async def theirs() -> list[object]:
        async with AsyncClient(place.url, key) as each:
            return [group async for group in each.spending.costs(["workspace"], page_size=2, workspace="b")]

    assert [each["group"]["workspace"] for each in found] == ["a", "b", "c"]
    assert asyncio.run(theirs()) == [found[1]]
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", key)
    told = CliRunner().invoke(app, ["costs", "--by", "workspace,user", "--csv"], catch_exceptions=False)
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert [(row["workspace"], row["user"]) for row in rows] == [(name, "'=HYPERLINK(1)") for name in "abc"]
    told = CliRunner().invoke(app, ["costs", "--by", "workspace", "--since", "2026-01-01"], catch_exceptions=False)
    assert f"${3 * ONE} in 3 calls" in told.stdout


def test_jobs_and_costs_are_told_by_the_key_that_submitted_them(place: Place, client: httpx.Client) -> None:
    other = place.client()
    spent(place, client, "a")
    spent(place, other, "a", "b")
    keys = [client.get("/api/v1/jobs").json()["jobs"][number]["api_key_id"] for number in (0, 2)]
    grouped = client.get(COSTS, params={"group_by": "api_key"}).json()["costs"]
    assert {each["group"]["api_key"]: each["calls"] for each in grouped} == dict(zip(keys, (2, 1), strict=True))
    [mine] = client.get(COSTS, params={"api_key": keys[1].upper()}).json()["costs"]
    assert (mine["calls"], mine["cost_usd"]) == (1, str(ONE))
    listed = client.get("/api/v1/jobs", params={"api_key_id": keys[0]}).json()["jobs"]
    assert [each["workspace"] for each in listed] == ["b", "a"]
    assert client.get("/api/v1/jobs", params={"api_key_id": "sk-syn-something"}).status_code == 422
