"""An explanation goes by what workers saw, as far as the store has it, and says where it knows it from."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from api.v1.route_views import RouteView
from pipelines.route.observed import FEWEST
from synthralos.domain.permissions import Role
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.writes import Start, Written
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.sql.database import Database
from tests.fakes.commands import in_process
from tests.fakes.jobs import attempt_end, deployment, plan, settlement
from tests.integration.api_place import Place, api_over, core_over

EXPLAIN = "/api/v1/route/explain"
SMALL, MEDIUM, LARGE = "sandbox/small@us", "sandbox/medium@us", "sandbox/large@us"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def explained(client: httpx.Client, **job: object) -> RouteView:
    answer = client.post(EXPLAIN, json={"prompt": "Hello", **job})
    assert answer.status_code == 200, answer.text
    return RouteView.model_validate_json(answer.content)


def answered(place: Place, name: str, seconds: float, times: int = FEWEST) -> None:
    """So many jobs were answered there, each after so many seconds."""
    for _ in range(times):
        job = place.store.claimed()
        start = Start(job, 1, deployment(name), Decimal("0.001"), plan(name))
        assert place.store.settlements.start([start]) == [Written.DONE]
        job.attempts += 1
        assert place.store.settle(settlement(job, attempt=replace(attempt_end(1), seconds=seconds)))


def test_the_fastest_is_what_workers_found_to_be_the_fastest(place: Place) -> None:
    answered(place, SMALL, 9.0)
    answered(place, LARGE, 0.25)
    answered(place, MEDIUM, 0.01, times=FEWEST - 1)
    view = explained(place.client(Role.SERVICE, plan="pro"), constraints={"strategy": "fastest"})
    assert view.steps[0].deployment == LARGE
    assert "0.25 s" in view.steps[0].reason
    known = view.knowledge.latencies
    assert {each.deployment: each.median for each in known.deployments} == {SMALL: 9.0, LARGE: 0.25}
    assert known.answers == 3 * FEWEST - 1
    assert known.oldest is not None
    assert known.newest is not None
    assert known.oldest <= known.newest <= place.store.now()


def test_what_is_too_slow_for_the_deadline_is_excluded_as_a_worker_would(place: Place) -> None:
    answered(place, SMALL, 90.0)
    soon = (place.store.now() + timedelta(seconds=30)).isoformat()
    excluded = explained(place.client(plan="pro"), deadline=soon).exclusions
    assert SMALL in [each.deployment for each in excluded if each.rule == "deadline"]


def test_without_calls_it_says_that_nothing_is_known(place: Place) -> None:
    known = explained(place.client(), constraints={"strategy": "fastest"}).knowledge
    assert (known.latencies.answers, known.latencies.newest, known.latencies.deployments) == (0, None, [])
    assert {"prompt_caches", "output_lengths", "own_latencies", "provider_keys"} == known.unknown.keys()


def test_what_was_read_is_given_out_again_for_seconds(place: Place) -> None:
    first = explained(place.client())
    answered(place, SMALL, 9.0)
    again = explained(place.client())
    assert again.knowledge.latencies.read_at == first.knowledge.latencies.read_at
    assert again.knowledge.latencies.answers == 0


def test_a_step_whose_breaker_is_open_is_passed_over(place: Place) -> None:
    BreakerStore(place.core.database).broken(SMALL, "500 all along", "worker-1")
    root = explained(place.client(Role.OPERATOR, EVERYTHING), model="sandbox/small")
    assert [step.deployment for step in root.steps] == [SMALL]
    held = root.steps[0].held_up
    assert held is not None
    assert (held.gate, held.names, held.reason) == ("breaker", [SMALL], "500 all along")
    assert held.until is not None
    assert root.first_call is None
    tenant = explained(place.client())
    assert [step.held_up is None for step in tenant.steps if step.deployment == SMALL] == [False]
    assert tenant.first_call == next(step.deployment for step in tenant.steps if step.deployment != SMALL)
    assert "500 all along" not in tenant.model_dump_json()


def test_a_step_whose_quota_is_closed_is_passed_over(place: Place) -> None:
    QuotaStore(place.core.database).refuse("sandbox/small", 300.0, "full", [Left(Unit.REQUESTS, 600, 0)])
    step = explained(place.client(Role.OPERATOR, EVERYTHING), model="sandbox/small").steps[0]
    assert step.held_up is not None
    assert (step.held_up.gate, step.held_up.names, step.held_up.reason) == ("quota", ["sandbox/small"], "full")


def test_the_command_line_says_what_is_passed_over_and_what_is_known(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    BreakerStore(place.core.database).broken(SMALL, "500 all along", "worker-1")
    answered(place, LARGE, 0.5)
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR, EVERYTHING))
    shown = in_process(monkeypatch, capsys)("route", "explain", "Rivers", "--model", "sandbox/small").out
    assert "passed over: its breaker is open" in shown
    assert f"of {FEWEST} answers" in shown
