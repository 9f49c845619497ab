"""The books against a provider's bill, and against other prices: shown first, adjusted once, never changed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from synthralos.domain.costs import CostQuery, groups_of
from synthralos.domain.jobs import Tenant
from synthralos.domain.money import Price
from synthralos.domain.provider_bills import UnreadableBill, read_bill
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.adjustments import Adjustments
from synthralos.store.admin.audit import By
from synthralos.store.read.costs import Costs
from synthralos.store.sql.database import Database
from synthralos.store.tables import attempts
from tests.fakes.jobs import attempt_end, deployment, new_job, settlement, start
from tests.fakes.stores import Store

BY = By("test", "invoice")
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def called(store: Store, provider: str, cost: str, *, day: datetime = DAY, tenant: Tenant | None = None) -> None:
    """A call of 1,000 and 500 tokens on that day that cost so much."""
    job = store.claimed(new_job(**({} if tenant is None else {"tenant": tenant})))
    at = deployment(f"{provider}/small@us")
    store.settlements.start([replace(start(job), deployment=replace(at, upstream_model="small-model"))])
    job.attempts += 1
    store.settle(settlement(job, attempt=attempt_end(1, cost=Decimal(cost)), analyzed=True))
    store.update(attempts, attempts.c.job_id == job.id, ended_at=day + timedelta(hours=5))


def openai(**amounts: str) -> str:
    """A page of costs; `amounts` by line item, whose spaces are written as underscores."""
    results = [
        {
            "object": "organization.costs.result",
            "amount": {"value": float(value), "currency": "usd"},
            "line_item": item.replace("_", " ") if item != "all" else None,
            "project_id": None,
        }
        for item, value in amounts.items()
    ]
    begin, end = int(DAY.timestamp()), int(NEXT.timestamp())
    bucket = {"object": "bucket", "start_time": begin, "end_time": end, "results": results}
    return json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None})


def anthropic(cents: str, model: str | None = "small-model-20260101") -> str:
    """A page of costs of one day."""
    result = {"currency": "USD", "amount": cents, "workspace_id": None, "description": None, "model": model}
    bucket = {
        "starting_at": f"{DAY:%Y-%m-%dT%H:%M:%SZ}",
        "ending_at": f"{NEXT:%Y-%m-%dT%H:%M:%SZ}",
        "results": [result],
    }
    return json.dumps([{"data": [bucket], "has_more": False, "next_page": None}])


def spent(store: Store, group_by: str = "kind", scope: Scope = EVERYTHING) -> Mapping[tuple[str, ...], Decimal]:
    query = CostQuery(DAY, NEXT, groups_of(group_by))
    return {row.group: row.cost for row in Costs(store.database).rows(query, scope)}


def test_a_bill_of_openai_is_adjusted_once(store: Store) -> None:
    called(store, "openai", "1.25")
    called(store, "openai", "1.25")
    called(store, "openai", "7", day=NEXT)
    books = Adjustments(store.database)
    bill = read_bill(openai(**{"small-model-2026-01-01,_input": "2", "small-model-2026-01-01,_output": "0.75"}))
    [found] = books.against(bill)
    assert (found.day, found.model, found.should, found.booked) == (DAY, "small", Decimal("2.75"), Decimal("2.5"))
    assert spent(store) == {("paid",): Decimal("2.5")}
    assert [books.write([found], bill.digest, BY) for _ in range(2)] == [1, 0]
    assert books.against(bill) == []
    assert spent(store) == {("adjustment",): Decimal("0.25"), ("paid",): Decimal("2.5")}
    assert spent(store, "organization") == {("",): Decimal("0.25"), ("acme",): Decimal("2.5")}
    assert spent(store, "kind", Scope("acme")) == {("paid",): Decimal("2.5")}


def test_a_bill_of_anthropic_is_in_cents(store: Store) -> None:
    called(store, "anthropic", "2")
    [found] = Adjustments(store.database).against(read_bill(anthropic("199.5")))
    assert (found.model, found.amount) == ("small", Decimal("-0.005"))


def test_a_bill_without_models_is_compared_by_day(store: Store) -> None:
    called(store, "openai", "2")
    [found] = Adjustments(store.database).against(read_bill(openai(all="3")))
    assert (found.model, found.amount) == ("", 1)


def test_what_is_billed_and_not_booked_is_a_difference_and_so_is_the_other_way(store: Store) -> None:
    called(store, "openai", "2")
    found = Adjustments(store.database).against(read_bill(openai(unheard_of="5")))
    assert {each.model: each.amount for each in found} == {"unheard of": 5, "small": -2}


def test_other_prices_are_reckoned_by_tenant(store: Store) -> None:
    called(store, "openai", "2")
    called(store, "openai", "2", tenant=Tenant("other"))
    books = Adjustments(store.database)
    prices = {"small": Price(Decimal(1000), Decimal(2000), cached=Decimal(500))}
    found = books.at_prices(prices, DAY, NEXT)
    # 900 fresh, 100 cached, 500 answered tokens.
    assert {each.organization: each.should for each in found} == {"acme": Decimal("1.95"), "other": Decimal("1.95")}
    assert books.write(found, "batch", BY) == 2
    assert books.at_prices(prices, DAY, NEXT) == []
    assert spent(store, "kind", Scope("other")) == {("adjustment",): Decimal("-0.05"), ("paid",): 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("{}", "data is no array"),
        ('[{"data": [{}]}]', r"\[0\]\.data\[0\]\.results is no array"),
        ('{"data": []}', "holds no costs"),
        (openai(all="1").replace("usd", "eur"), r"data\[0\]\.results\[0\]\.amount\.currency is 'eur'"),
        (openai(all="1").replace(str(int(NEXT.timestamp())), "1"), "no day of UTC"),
        (openai(all="1").replace("costs.result", "usage.completions.result"), "save the cost report instead"),
        (anthropic("lots"), "is no amount of money"),
        (f"[{openai(all='1')}, {anthropic('1')[1:-1]}]", "several providers"),
    ],
    ids=range(9),
)
def test_what_is_no_bill_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(UnreadableBill, match=told):
        read_bill(text)


def test_the_command_shows_first_and_writes_when_told(store: Store, tmp_path: Path) -> None:
    called(store, "openai", "2")
    bill, prices = tmp_path / "bill.json", tmp_path / "prices.toml"
    bill.write_text(openai(all="3"))
    prices.write_text('[small]\ninput = "1000"\noutput = "3000"\n')
    url = store.database.url.render_as_string(hide_password=False)

    def run(*words: str) -> Any:
        told = CliRunner().invoke(app, ["--json", "ledger", *words, "--database-url", url], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    shown = run("reconcile", str(bill))
    assert (Decimal(shown["total"]), shown["written"], len(shown["differences"])) == (1, None, 1)
    assert run("reconcile", str(bill), "--write")["written"] == 1
    assert run("reconcile", str(bill), "--write")["differences"] == []
    recomputed = run("recompute", "--prices", str(prices), "--since", f"{DAY:%Y-%m-%d}")
    assert [Decimal(each["should"]) for each in recomputed["differences"]] == [Decimal("2.5")]
