"""Service tiers on real workers: what the provider is asked for, and what the books say of it."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.money import Price, Rates, ServiceTier, Tariff
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

FLEX = {ServiceTier.FLEX: Tariff(Rates(Decimal("0.5"), Decimal(1)))}
PRICE = Price(Decimal(1), Decimal(2), as_of="2026-01-01", service_tiers=FLEX)


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def said(tier: str) -> Answer:
    message = {"role": "assistant", "content": "Paris"}
    usage = {"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500}
    choices = [{"message": message, "finish_reason": "stop"}]
    return Answer(200, {"choices": choices, "usage": usage, "service_tier": tier})


def run(place: WorkerPlace, provider: ScriptedServer, wanted: Any, **more: Any) -> list[dict[str, Any]]:
    """The cost lines of a job that wants that tier."""
    [deployment] = deployments_at(f"{provider.url}/v1", "a")
    place.start(place.core(Catalog([replace(deployment, price=PRICE)])))
    job = place.run(new_job("Hello", constraints=Constraints(service_tier=wanted, **more)))
    assert job["state"] == State.SUCCEEDED
    return place.store.cost_logs(job["id"])


def asked_for(provider: ScriptedServer) -> list[str | None]:
    return [orjson.loads(asked.body).get("service_tier") for asked in provider.asked]


def test_flex_is_asked_for_and_booked_at_its_price(place: WorkerPlace, provider: ScriptedServer) -> None:
    provider.script = lambda asked: said("flex")
    [line] = run(place, provider, "auto")
    assert asked_for(provider) == ["flex"]
    assert (line["service_tier"], line["cost_picousd"], line["price"]["output"]) == ("flex", Decimal("0.001"), "1")


def test_what_flex_has_no_room_for_is_done_at_the_standard_tier(place: WorkerPlace, provider: ScriptedServer) -> None:
    def script(asked: Asked) -> Answer:
        if orjson.loads(asked.body)["service_tier"] == "flex":
            return Answer(429, {"error": {"code": "resource_unavailable", "message": "Resource unavailable"}})
        return said("default")

    provider.script = script
    refused, done = run(place, provider, "flex")
    assert asked_for(provider) == ["flex", "default"]
    assert (refused["service_tier"], refused["billed"], refused["cost_picousd"]) == ("flex", "no", Decimal(0))
    assert (done["service_tier"], done["cost_picousd"], done["price"]["output"]) == ("standard", Decimal("0.002"), "2")


def test_what_was_billed_at_another_tier_than_was_asked_for_costs_that(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    provider.script = lambda asked: said("default")
    [line] = run(place, provider, "flex")
    assert (line["service_tier"], line["cost_picousd"]) == ("standard", Decimal("0.002"))


def test_nothing_is_asked_for_unless_the_job_says_so(place: WorkerPlace, provider: ScriptedServer) -> None:
    provider.script = lambda asked: said("default")
    run(place, provider, None)
    assert asked_for(provider) == [None]


def test_where_money_is_bounded_the_standard_tier_is_asked_for(place: WorkerPlace, provider: ScriptedServer) -> None:
    provider.script = lambda asked: said("default")
    run(place, provider, None, max_cost=Decimal(1))
    assert asked_for(provider) == ["default"]
