"""An answer that does not fit is repaired by somebody else, where its sender or a policy names one."""

import json
import threading
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.budgets import AtLimit, Budget, Budgets, Per, Period
from synthralos.domain.deployments import Catalog
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.policies import PolicySet
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer
from tests.integration.test_worker_repair import (
    FITTING,
    FORMAT,
    MISFIT,
    catalog,
    completion,
    in_turn,
    place,
    server,
    turns,
)
from tests.integration.worker_place import WorkerPlace

__all__ = ["place", "server"]

OVERLOADED = Answer(500, {"error": {"message": "down", "type": "server_error"}})


def asks(**constraints: Any) -> NewJob:
    return new_job(
        "Which city?", model="fake/b", constraints=Constraints(**constraints), body={"response_format": FORMAT}
    )


def policies(*actions: dict[str, Any]) -> tuple[PolicySet, ...]:
    rule = {"id": "one", "then": list(actions)}
    return (PolicySet.from_json({"id": "0199", "name": "ours", "version": 1, "rules": [rule]}),)


def asked_models(server: ScriptedServer) -> list[str]:
    return [asked.json()["model"] for asked in server.asked]


def quoted(messages: list[dict[str, Any]]) -> bool:
    return messages[-2:-1] == [{"role": "assistant", "content": MISFIT}]


@pytest.fixture
def three(server: ScriptedServer) -> Catalog:
    return catalog(server, "a", "b", "c")


def test_the_cheapest_that_may_do_the_job_repairs_it(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.worker(three)
    job = place.run(asks(repair_model="cheapest"))
    assert (job["state"], job["result"]["text"], job["result"]["deployment"]) == (
        State.SUCCEEDED, FITTING, "fake/a@us",
    )  # fmt: skip
    assert asked_models(server) == ["b", "a"]
    assert quoted(turns(server)[1])


def test_the_repair_is_an_attempt_with_a_price_of_its_own_and_the_trace_tells_it(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.worker(three)
    job = place.run(asks(repair_model="cheapest"))
    first, second = place.store.attempts(job["id"])
    assert (first["outcome"], first["billed"]) == (Outcome.FAILED, Billed.YES)
    assert (second["outcome"], second["billed"]) == (Outcome.SUCCEEDED, Billed.YES)
    tokens = second["input_tokens"], second["output_tokens"]
    assert second["cost_picousd"] == (tokens[0] * Decimal(1) + tokens[1] * Decimal(2)) / 1_000_000
    costs = {row["deployment"]: row["cost_picousd"] for row in place.store.cost_logs(job["id"])}
    assert costs == {"fake/b@us": first["cost_picousd"], "fake/a@us": second["cost_picousd"]}
    spans = {span["name"]: span["attributes"] for span in place.store.spans(job["id"])}
    assert spans["heal"]["reason"].endswith("its answer is repaired by fake/a@us")
    assert spans["execute"]["repairs"] is True


def test_a_model_that_is_named_repairs_it(place: WorkerPlace, server: ScriptedServer, three: Catalog) -> None:
    in_turn(server, MISFIT, FITTING)
    place.worker(three)
    place.run(asks(repair_model="fake/c"))
    assert asked_models(server) == ["b", "c"]


def test_a_policy_says_who_repairs_whatever_the_job_says(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    in_turn(server, MISFIT, FITTING)
    demanded = policies({"action": "repair_output", "model": "cheapest"})
    place.start(place.core(three, policies=demanded))
    place.run(asks(repair_model="fake/c"))
    assert asked_models(server) == ["b", "a"]


@pytest.mark.parametrize("constraints", [{"pin": "fake/b@us"}, {"fallback": False}, {"repair": "again"}])
def test_a_policy_moves_no_job_that_must_not_move(
    place: WorkerPlace, server: ScriptedServer, three: Catalog, constraints: dict[str, Any]
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.start(place.core(three, policies=policies({"action": "repair_output", "model": "cheapest"})))
    assert place.run(asks(**constraints))["state"] == State.SUCCEEDED
    assert asked_models(server) == ["b", "b"]


def test_what_policies_and_residency_forbid_repairs_nothing(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.start(place.core(three, policies=policies({"action": "forbid_models", "models": ["fake/a"]})))
    place.run(asks(repair_model="cheapest"))
    assert asked_models(server) == ["b", "b"]


def test_classified_data_is_repaired_in_the_eu(place: WorkerPlace, server: ScriptedServer, three: Catalog) -> None:
    in_turn(server, MISFIT, FITTING)
    home = [replace(each, residency="eu") if each.model != "a" else each for each in three]
    place.worker(Catalog(home))
    place.run(asks(repair_model="cheapest", classification="eu"))
    assert asked_models(server) == ["b", "b"]


def test_a_repairer_that_fails_leaves_the_repair_to_who_gave_the_answer(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    answers = [MISFIT, FITTING]
    server.script = lambda asked: OVERLOADED if asked.json()["model"] == "a" else completion(asked, answers.pop(0))
    place.worker(three)
    job = place.run(asks(repair_model="cheapest"))
    assert (job["state"], job["result"]["deployment"]) == (State.SUCCEEDED, "fake/b@us")
    assert asked_models(server) == ["b", "a", "b"]
    assert quoted(turns(server)[2])
    assert [each["outcome"] for each in place.store.attempts(job["id"])] == ["failed", "failed", "succeeded"]


def test_a_repair_that_does_not_fit_is_not_repaired_again(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    in_turn(server, MISFIT)
    place.worker(three)
    assert place.run(asks(repair_model="cheapest"))["state"] == State.FAILED
    assert asked_models(server) == ["b", "a"]


def test_a_repair_counts_among_the_calls_that_a_job_may_make(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    server.script = lambda asked: OVERLOADED if asked.json()["model"] == "a" else completion(asked, MISFIT)
    place.worker(three)
    assert place.run(asks(repair_model="cheapest", max_attempts=2))["state"] == State.FAILED
    assert asked_models(server) == ["b", "a"]


def test_budgets_hold_and_settle_the_repair(place: WorkerPlace, server: ScriptedServer, three: Catalog) -> None:
    store = BudgetStore(place.store.database)
    budget = store.create(
        Budget(new_id(), "all", Per.ORGANIZATION, Period.TOTAL, Decimal(1), AtLimit.DENY, "acme"), By("test")
    )
    in_turn(server, MISFIT, FITTING)
    place.start(place.core(three, budgets=Budgets([budget])))
    job = place.run(asks(repair_model="cheapest"))
    place.heard.until(lambda: store.uses(budget)[0].held == 0)
    assert store.uses(budget)[0].spent == sum(each["cost_picousd"] for each in place.store.attempts(job["id"]))
    assert asked_models(server) == ["b", "a"]


def test_a_job_that_loses_its_worker_in_a_repair_goes_on_by_its_own_plan(
    place: WorkerPlace, server: ScriptedServer, three: Catalog
) -> None:
    asked_a, answered = threading.Event(), threading.Event()

    def script(asked: Asked) -> Answer:
        if asked.json()["model"] == "a":
            asked_a.set()
            answered.wait(60)
        return completion(asked, MISFIT if len(server.asked) < 3 else FITTING)

    server.script = script
    worker = place.worker(three, drain_timeout=0.1)
    [job_id] = place.submit(asks(repair_model="cheapest"))
    assert asked_a.wait(60)
    place.stop(worker)
    answered.set()
    place.worker(three)
    place.ring(place.store.job(job_id)["stage"], job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert asked_models(server) == ["b", "a", "b"]
    assert turns(server)[2] == turns(server)[0]
    assert json.dumps(turns(server)[1]) != json.dumps(turns(server)[0])
