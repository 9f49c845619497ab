"""Budgets on real workers: what jobs do that have no room, and what is on the books of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.budgets import AtLimit, Budget, Budgets, Per, Period
from synthralos.domain.costs import CostQuery
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import NewJob
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from synthralos.store.read.costs import Costs
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

USED = Decimal("0.00003")
"""USD of a call at `a`: 10 tokens at 1 and 10 at 2 a million."""


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    def said(asked: Asked) -> Answer:
        message = {"role": "assistant", "content": "Paris"}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    with scripted_server() as server:
        server.script = said
        yield server


def budget(place: WorkerPlace, limit: str, **more: Any) -> Budget:
    made = Budget(new_id(), "small", Per.ORGANIZATION, Period.MONTH, Decimal(limit), organization="acme")
    return BudgetStore(place.store.database).create(replace(made, **more), By("test"))


def works(place: WorkerPlace, provider: ScriptedServer, *budgets: Budget, **more: Any) -> None:
    place.start(place.core(deployments_at(f"{provider.url}/v1", "a", "b"), budgets=Budgets(budgets), **more))


def short(**more: Any) -> NewJob:
    """A job whose call may cost 20 answered tokens at most: less than 0.0001 USD at `a`, and twice that at `b`."""
    return new_job("Hi", body={"max_output_tokens": 20}, **more)


def uses(place: WorkerPlace, of: Budget) -> tuple[Decimal, Decimal, Decimal]:
    [use] = BudgetStore(place.store.database).uses(of)
    return use.held, use.maybe, use.spent


def test_what_a_call_cost_is_counted(place: WorkerPlace, provider: ScriptedServer) -> None:
    small = budget(place, "1")
    works(place, provider, small)
    assert place.run(short())["state"] == State.SUCCEEDED
    assert uses(place, small) == (0, 0, USED)


def test_a_job_without_room_fails_with_the_budgets_name(place: WorkerPlace, provider: ScriptedServer) -> None:
    small = budget(place, "0.00001")
    works(place, provider, small)
    job = place.run(short())
    assert (job["state"], provider.asked) == (State.FAILED, [])
    assert (job["failure"]["class"], "small" in job["failure"]["message"]) == ("budget", True)


def test_a_job_waits_for_the_next_period(place: WorkerPlace, provider: ScriptedServer) -> None:
    small = budget(place, "0.0001", at_limit=AtLimit.PARK)
    works(place, provider, small)
    for _ in range(2):
        assert place.run(short())["state"] == State.SUCCEEDED
    [waiting] = place.submit(short())
    place.reaches(waiting, State.PARKED)
    assert "small" in place.store.job(waiting)["failure"]["message"]
    BudgetStore(place.store.database).replace(replace(small, limit=Decimal(1)), By("test"))
    place.wake(waiting)
    assert place.finished(waiting) == [State.SUCCEEDED]
    assert uses(place, small) == (0, 0, 3 * USED)


def test_a_job_goes_to_a_cheaper_model(place: WorkerPlace, provider: ScriptedServer) -> None:
    small = budget(place, "0.00007", at_limit=AtLimit.CHEAPER)
    dear = {"id": "one", "then": [{"action": "prefer", "models": ["fake/b"]}]}
    prefers = PolicySet.from_json({"id": "0199", "name": "ours", "version": 1, "rules": [dear]})
    works(place, provider, small, policies=(prefers,))
    job = place.run(short())
    plan = place.store.view(job["id"])["plan"]
    assert [step["deployment"] for step in plan["steps"]] == ["fake/b@us", "fake/a@us"]
    assert [attempt["deployment"] for attempt in place.store.attempts(job["id"])] == ["fake/a@us"]
    assert (job["state"], uses(place, small)) == (State.SUCCEEDED, (0, 0, USED))


def test_tokens_are_recorded_where_costs_are_not_tracked(place: WorkerPlace, provider: ScriptedServer) -> None:
    off = Flags({Flag.TRACK_MODEL_COSTS: FlagState(False, 100)})
    works(place, provider, flags=off)
    job = place.run(short())
    [attempt] = place.store.attempts(job["id"])
    assert (attempt["input_tokens"], attempt["output_tokens"], attempt["cost_picousd"]) == (10, 10, None)
    at = attempt["ended_at"]
    [row] = Costs(place.store.database).rows(CostQuery(at - timedelta(days=1), at + timedelta(hours=1)), EVERYTHING)
    assert (row.calls, row.unknown_calls, row.cost, row.output_tokens) == (1, 1, 0, 10)
