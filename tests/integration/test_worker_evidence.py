"""The evidence of jobs on real workers agrees with what the provider received, whatever happened on the way."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import pytest

from pipelines.analyze.evidence import evidence_view
from synthralos.core import Core
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.jobs import Constraints
from synthralos.domain.money import Price
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage, State
from synthralos.store.read.evidence import Evidence
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

PARIS = {"role": "assistant", "content": "Paris"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
FINE = Answer(200, {"choices": [{"message": PARIS, "finish_reason": "stop"}], "usage": USAGE})
NOT_HERE = Answer(404, {"error": {"message": "no such model", "code": "model_not_found"}})
INVALID = Answer(400, {"error": {"message": "no", "code": "invalid_value"}})

ROUNDS, JOBS = 4, 24


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = lambda asked: FINE
        yield server


class Declared(NamedTuple):
    """A deployment `fake/NAME@REGION` with what is declared of it."""

    name: str
    region: str
    residency: str | None = None
    zero_retention: bool = False


HERE = (
    Declared("a", "us"),
    Declared("b", "eu", zero_retention=True),
    Declared("c", "westeurope", "eu"),
    Declared("d", "northeurope"),
    Declared("e", "eu"),
)


def catalog_of(provider: ScriptedServer, declared: tuple[Declared, ...] = HERE) -> Catalog:
    """Each dearer than the one before."""
    return Catalog(
        [
            Deployment(
                id=f"fake/{each.name}@{each.region}", provider="fake", model=each.name, region=each.region,
                adapter="openai", upstream_model=each.name, base_url=f"{provider.url}/v1", context_window=128_000,
                max_output=4_000, price=Price(Decimal(number), Decimal(2 * number)), residency=each.residency,
                zero_retention=each.zero_retention,
            )
            for number, each in enumerate(declared, 1)
        ]
    )  # fmt: skip


def call_of(asked: Asked) -> tuple[str, int]:
    """The job and the number of the attempt, as the provider was told them."""
    job_id, _, attempt_no = asked.headers["idempotency-key"].rpartition("/")
    return job_id, int(attempt_no)


def evidence(store: Store, job_id: str) -> dict[str, Any]:
    return evidence_view(store.view(job_id), Evidence(store.database).of(job_id))


class Received(NamedTuple):
    """A call as the provider received it, with what was declared of the deployment at that moment."""

    deployment: str
    residency: str | None
    zero_retention: bool


class Watcher:
    """A provider that answers as chance has it, and writes down what it received under which catalog."""

    def __init__(self, provider: ScriptedServer, core: Core, seed: int) -> None:
        self._core = core
        self._seed = seed
        self._lock = threading.Lock()
        self.received: dict[tuple[str, int], Received] = {}
        provider.script = self._answer

    def _answer(self, asked: Asked) -> Answer:
        job_id, attempt_no = call_of(asked)
        body = asked.json()
        [found] = [each for each in self._core.live.current.catalog if each.upstream_model == body["model"]]
        with self._lock:
            assert (job_id, attempt_no) not in self.received
            self.received[job_id, attempt_no] = Received(found.id, found.residency, found.zero_retention)
        # By the prompt, which is the same in every run of the test, as ids are not.
        chance = Random(f"{self._seed}/{body['messages'][0]['content']}/{attempt_no}").random()
        return FINE if chance < 0.4 else NOT_HERE if chance < 0.8 else INVALID


def declared_anew(rng: Random) -> tuple[Declared, ...]:
    """Somebody changes the catalog: what is declared moves between the deployments."""
    residencies = [rng.choice([None, "eu", "us"]) for _ in HERE]
    return tuple(
        each._replace(residency=residency, zero_retention=rng.random() < 0.5)
        for each, residency in zip(HERE, residencies, strict=True)
    )


def wanted(rng: Random) -> Constraints:
    return Constraints(classification=rng.choice(["eu", "EU", "none", None]), zero_retention=rng.random() < 0.2)


def revived(place: WorkerPlace, rng: Random, job_id: str) -> None:
    """An operator retries the job, or reroutes it with changes."""
    operations = place.store.operations
    if rng.random() < 0.5:
        assert operations.retry(job_id, EVERYTHING, "ann", "once more") is not None
        place.ring(Stage.GUARD, job_id)
        return
    changes: dict[str, Any] = {"exclude": rng.sample(["fake/a@us", "fake/b@eu"], rng.choice([0, 1]))}
    assert operations.reroute(job_id, EVERYTHING, "ann", changes, "elsewhere") is not None
    place.ring(place.store.job(job_id)["stage"], job_id)


@pytest.mark.parametrize("seed", range(3))
def test_evidence_agrees_with_what_the_provider_received(
    place: WorkerPlace, provider: ScriptedServer, seed: int
) -> None:
    rng = Random(seed)
    core = place.core(catalog_of(provider))
    watcher = Watcher(provider, core, seed)
    place.start(core)
    jobs = [new_job(f"job {number}", constraints=wanted(rng)) for number in range(JOBS)]
    place.submit(*jobs)
    revivals = dict.fromkeys([job.id for job in jobs], 0)
    for number in range(ROUNDS):
        place.finished(*revivals)
        failed = sorted(job.id for job in jobs if place.store.state(job.id) == State.FAILED)
        if number == ROUNDS - 1 or not failed:
            break
        before = core.live.current
        core.live.current = replace(
            before, catalog=catalog_of(provider, declared_anew(rng)), version=before.version + 1
        )
        for job_id in failed:
            revivals[job_id] += 1
            revived(place, rng, job_id)
    assert sum(revivals.values()) > 10
    bound = 0
    for job in jobs:
        found = evidence(place.store, job.id)
        seen = {number: call for (job_id, number), call in watcher.received.items() if job_id == job.id}
        told = {
            call["attempt_no"]: Received(call["deployment"], call["residency"], call["zero_retention"])
            for call in found["calls"]
        }
        assert told == seen
        assert all(call["kept"] for call in found["calls"])
        assert found["conclusion"]["holds"]
        plans = {plan["key"] for plan in found["plans"]}
        assert all(call["grounds"]["plan_key"] in plans and call["grounds"]["step"] for call in found["calls"])
        acts = [act["kind"] for act in found["acts"] if act["by"] == "operator"]
        assert len(acts) == revivals[job.id]
        if (job.constraints.classification or "").lower() == "eu":
            bound += len(seen)
            assert {call.residency for call in seen.values()} <= {"eu"}
            assert found["classification"]["source"] == "sender"
            assert found["conclusion"]["required_residency"] == "eu"
            assert (found["conclusion"]["calls"], found["conclusion"]["kept"]) == (len(seen), len(seen))
    assert bound > 10


def test_each_call_says_what_sent_the_job_there(place: WorkerPlace, provider: ScriptedServer) -> None:
    provider.answer_in_turn(NOT_HERE, INVALID, FINE)
    place.start(place.core(catalog_of(provider)))
    job = place.run(new_job(constraints=Constraints(classification="eu")))
    assert job["state"] == State.FAILED
    outcome = place.store.operations.reroute(job["id"], EVERYTHING, "ann", {"exclude": ["fake/b@eu"]}, "b is down")
    assert outcome is not None
    place.ring(Stage.ROUTE, job["id"])
    assert place.finished(job["id"]) == [State.SUCCEEDED]
    found = evidence(place.store, job["id"])
    assert [(call["deployment"], call["residency"], call["because"] and call["because"]["kind"])
            for call in found["calls"]] == [
        ("fake/b@eu", "eu", None), ("fake/c@westeurope", "eu", "healed"), ("fake/c@westeurope", "eu", "reroute"),
    ]  # fmt: skip
    assert [call["because"]["by"] for call in found["calls"][1:]] == ["heal", "operator"]
    assert found["calls"][2]["because"]["reason"] == "b is down"
    first, second, third = (call["grounds"]["plan_key"] for call in found["calls"])
    assert first == second != third
    assert found["conclusion"] == {
        "holds": True, "text": "all 3 calls went to EU deployments", "required_residency": "eu",
        "calls": 3, "kept": 3, "broken": [], "unknown": [],
    }  # fmt: skip


def test_a_lost_worker_and_a_reroute_of_a_running_job_stand_on_record(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    let_go, arrived = threading.Event(), threading.Semaphore(0)
    numbers: list[int] = []

    def hang_twice(asked: Asked) -> Answer:
        _, number = call_of(asked)
        numbers.append(number)
        arrived.release()
        if number < 3:
            assert let_go.wait(60)
        return FINE

    provider.script = hang_twice
    try:
        place.start(place.core(catalog_of(provider)))
        [job_id] = place.submit(new_job(constraints=Constraints(classification="eu")))
        assert arrived.acquire(timeout=60)
        [open_call] = evidence(place.store, job_id)["calls"]
        assert (open_call["outcome"], open_call["residency"], open_call["kept"]) == ("open", "eu", True)
        outcome = place.store.operations.reroute(job_id, EVERYTHING, "ann", {"exclude": ["fake/b@eu"]})
        assert outcome is not None
        place.ring(Stage.ROUTE, job_id)
        assert arrived.acquire(timeout=60)
        [_, second] = place.store.attempts(job_id)
        place.store.lose(second["worker_id"])
        assert [item.id for item in place.store.sweeps.rescue()] == [job_id]
        place.start(place.core(catalog_of(provider)))
        place.ring(Stage.EXECUTE, job_id)
        assert place.finished(job_id) == [State.SUCCEEDED]
    finally:
        let_go.set()
    found = evidence(place.store, job_id)
    told = [
        (call["attempt_no"], call["deployment"], call["because"] and call["because"]["kind"]) for call in found["calls"]
    ]
    assert told == [
        (1, "fake/b@eu", None), (2, "fake/c@westeurope", "reroute"), (3, "fake/c@westeurope", "lost")
    ]  # fmt: skip
    assert sorted(numbers) == [1, 2, 3]
    assert found["conclusion"]["text"] == "all 3 calls went to EU deployments"


def test_rules_that_ruled_are_named_with_their_version(place: WorkerPlace, provider: ScriptedServer) -> None:
    then = [{"action": "require_region", "regions": ["eu"]}, {"action": "flag", "reason": "looked at"}]
    rules = [{"id": "europe", "then": then}]
    policy = PolicySet.from_json({"id": "0199", "name": "ours", "version": 3, "rules": rules})
    shadow = PolicySet.from_json({"id": "019a", "name": "next", "version": 1, "shadow": True, "rules": rules})
    place.start(place.core(catalog_of(provider), policies=(policy, shadow)))
    job = place.run(new_job())
    [call] = evidence(place.store, job["id"])["calls"]
    said = [(s["set_name"], s["version"], s["rule"], s["decision"], s["shadow"]) for s in call["grounds"]["said"]]
    assert said == [("ours", 3, "europe", "flag", False), ("next", 1, "europe", "flag", True)]
    assert call["grounds"]["demands"]["regions"] == ["eu"]
    assert (call["kept"], call["residency"]) == (True, "eu")


def test_a_job_without_a_call_has_evidence_too(place: WorkerPlace, provider: ScriptedServer) -> None:
    place.start(place.core(Catalog([each for each in catalog_of(provider) if each.residency == "us"])))
    job = place.run(new_job(constraints=Constraints(classification="eu")))
    found = evidence(place.store, job["id"])
    assert (found["state"], found["calls"], found["conclusion"]["text"]) == (State.FAILED, [], "no call was made")
    assert provider.asked == []
