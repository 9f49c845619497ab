"""Hedged calls on real workers: one result, one end, and both calls on the books and in the budgets."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.budgets import AtLimit, Budget, Budgets, Per, Period
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.policies import PolicySet
from synthralos.domain.states import Lane, State
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

HEDGE = PolicySet.from_json(
    {"id": "0199", "name": "ours", "version": 1, "rules": [{"id": "one", "then": [{"action": "hedge"}]}]}
)
SEEN = 6
"""Calls after which a worker knows how long a deployment takes."""


@dataclass
class Models:
    """Answers of models `a` and `b`, which may be held."""

    server: ScriptedServer
    open: dict[str, threading.Event] = field(default_factory=dict)
    came: dict[str, threading.Event] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Answer:
        model = asked.json()["model"]
        self.came[model].set()
        self.open[model].wait(60)
        message = {"role": "assistant", "content": f"from {model}"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return Answer(body={"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def models() -> Iterator[Models]:
    with scripted_server() as server:
        found = Models(server)
        for name in ("a", "b"):
            found.open[name], found.came[name] = threading.Event(), threading.Event()
            found.open[name].set()
        server.script = found.answer
        yield found
        for event in found.open.values():
            event.set()


def chat(**constraints: Any) -> NewJob:
    return new_job("Hello", lane=Lane.INTERACTIVE, constraints=Constraints(**constraints))


def started(place: WorkerPlace, models: Models, **more: Any) -> None:
    """A worker that has seen how quick `a` is."""
    place.start(place.core(deployments_at(f"{models.server.url}/v1", "a", "b"), policies=(HEDGE,), **more))
    for _ in range(SEEN):
        place.run(chat())
    for event in models.came.values():
        event.clear()


def test_the_other_deployment_answers_and_the_first_call_is_maybe_billed(place: WorkerPlace, models: Models) -> None:
    started(place, models)
    models.open["a"].clear()
    job = place.run(chat())
    assert (job["state"], job["result"]["text"], job["result"]["deployment"]) == (
        State.SUCCEEDED, "from b", "fake/b@us",
    )  # fmt: skip
    first, second = place.store.attempts(job["id"])
    assert (first["deployment"], first["outcome"], first["billed"]) == ("fake/a@us", Outcome.CANCELLED, Billed.MAYBE)
    assert (second["deployment"], second["outcome"], second["billed"]) == ("fake/b@us", Outcome.SUCCEEDED, Billed.YES)
    assert first["cost_picousd"] is None
    assert second["cost_picousd"] == Decimal("0.00004")


def test_the_first_deployment_answers_after_all_and_is_paid(place: WorkerPlace, models: Models) -> None:
    started(place, models)
    models.open["a"].clear()
    models.open["b"].clear()
    [job_id] = place.submit(chat(), lane=Lane.INTERACTIVE)
    assert models.came["b"].wait(60)
    models.open["a"].set()
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert place.store.job(job_id)["result"]["text"] == "from a"
    place.heard.until(lambda: place.store.attempts(job_id)[0]["outcome"] == Outcome.SUCCEEDED)
    first, second = place.store.attempts(job_id)
    assert (first["billed"], first["cost_picousd"], first["late"]) == (Billed.YES, Decimal("0.00002"), True)
    assert (second["outcome"], second["billed"]) == (Outcome.CANCELLED, Billed.MAYBE)
    costs = {(row["attempt_no"], row["cost_picousd"]) for row in place.store.cost_logs(job_id)}
    assert (1, Decimal("0.00002")) in costs


def test_budgets_hold_and_settle_both_calls(place: WorkerPlace, models: Models) -> None:
    store = BudgetStore(place.store.database)
    budget = store.create(
        Budget(new_id(), "all", Per.ORGANIZATION, Period.TOTAL, Decimal(1), AtLimit.DENY, "acme"), By("test")
    )
    started(place, models, budgets=Budgets([budget]))
    models.open["a"].clear()
    job = place.run(chat())
    assert job["result"]["text"] == "from b"
    place.heard.until(lambda: store.uses(budget)[0].held == 0)
    [use] = store.uses(budget)
    assert use.spent == SEEN * Decimal("0.00002") + Decimal("0.00004")
    assert use.maybe > 0


def test_a_budget_without_room_for_two_calls_lets_one_go_on(place: WorkerPlace, models: Models) -> None:
    store = BudgetStore(place.store.database)
    limit = Decimal("0.0095")  # the answer of `a` may cost 0.008 USD at most, that of `b` twice as much
    budget = store.create(
        Budget(new_id(), "all", Per.ORGANIZATION, Period.TOTAL, limit, AtLimit.DENY, "acme"), By("test")
    )
    started(place, models, budgets=Budgets([budget]))
    models.open["a"].clear()
    [job_id] = place.submit(chat(), lane=Lane.INTERACTIVE)
    place.heard.until(lambda: [a["outcome"] for a in place.store.attempts(job_id)] == [Outcome.LOST])
    models.open["a"].set()
    assert place.finished(job_id) == [State.SUCCEEDED]
    place.heard.until(lambda: store.uses(budget)[0].held == 0)
    [attempt] = place.store.attempts(job_id)
    assert (attempt["outcome"], attempt["cost_picousd"]) == (Outcome.SUCCEEDED, Decimal("0.00002"))
    assert store.uses(budget)[0].spent == (SEEN + 1) * Decimal("0.00002")
    assert not models.came["b"].is_set()


def test_without_a_policy_nothing_is_hedged(place: WorkerPlace, models: Models) -> None:
    place.start(place.core(deployments_at(f"{models.server.url}/v1", "a", "b")))
    for _ in range(SEEN):
        place.run(chat())
    models.open["a"].clear()
    [job_id] = place.submit(chat(), lane=Lane.INTERACTIVE)
    assert not models.came["b"].wait(0.3)
    models.open["a"].set()
    place.finished(job_id)
    assert len(place.store.attempts(job_id)) == 1
