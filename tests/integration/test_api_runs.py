"""Agent runs over HTTP: seen, and gone on with from the last good step."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.v1.run_caps import RunCapsView
from api.v1.runs import RecoveredView, RunView
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import State, Transition
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.integration.api_place import ACME, Place, api_over, core_over

RUN = "/api/v1/runs/night"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def operator(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


def _ended(place: Place, step: str, transition: Transition = Transition.SUCCEED) -> str:
    job = new_job("Hello", run_id="night", metadata={"step": step}, tenant=Tenant("acme", "main"))
    failure: dict[str, Any] | None = None
    if transition is Transition.FAIL:
        failure = Failure(FailureClass.OVERLOADED, "try later").to_json()
    started = place.store.started(job)
    assert place.store.settle(settlement(started, transition, attempt=attempt_end(1), failure=failure))
    return job.id


def test_a_run_is_gone_on_with_from_its_last_good_step(place: Place, operator: httpx.Client) -> None:
    plan, write = _ended(place, "plan"), _ended(place, "write", Transition.FAIL)
    shown = operator.get(RUN)
    RunView.model_validate_json(shown.content)
    assert shown.json()["state"] == "failed"
    assert [(step["name"], step["recoverable"]) for step in shown.json()["steps"]] == [("plan", False), ("write", True)]
    wanted = {"steps": ["plan", "write", "check"], "reason": "the provider is back"}
    done = operator.post(f"{RUN}/recover", json=wanted)
    RecoveredView.model_validate_json(done.content)
    answered = done.json()
    assert (answered["kept"], answered["retried"], answered["missing"]) == ([plan], [write], ["check"])
    assert answered["run"]["state"] == "running"
    assert (place.store.state(plan), place.store.state(write)) == (State.SUCCEEDED, State.QUEUED)
    assert place.doorbell.wait_for(write)
    again = operator.post(f"{RUN}/recover").json()
    assert (again["retried"], again["open"]) == ([], [write])


def test_what_is_not_there_or_not_allowed_is_told(place: Place, operator: httpx.Client) -> None:
    _ended(place, "plan")
    assert operator.get("/api/v1/runs/day").status_code == 404
    assert place.client(Role.OPERATOR, Scope("other")).get(RUN).status_code == 404
    assert place.client(Role.VIEWER).post(f"{RUN}/recover").status_code == 403
    assert operator.post(f"{RUN}/recover", json={"steps": "plan"}).status_code == 422


def test_the_client_does_the_same(place: Place) -> None:
    write = _ended(place, "write", Transition.FAIL)
    with Client(place.url, place.key(Role.OPERATOR, ACME)) as client:
        assert client.healing.run("night")["steps"][0]["job_id"] == write
        assert client.healing.recover_run("night", steps=["check"])["missing"] == ["check"]


def test_a_run_is_capped_seen_and_uncapped(place: Place, operator: httpx.Client) -> None:
    _ended(place, "plan")
    assert operator.get(RUN).json()["caps"] == []
    wanted = {"max_calls": 5, "max_cost_usd": "0.5", "max_seconds": 3600, "reason": "night shift"}
    capped = operator.put(RUN, json=wanted)
    RunCapsView.model_validate_json(capped.content)
    caps = capped.json()
    assert (caps["organization"], caps["calls"], caps["max_repeats"]) == ("acme", 1, 3)
    [shown] = operator.get(RUN).json()["caps"]
    assert shown == caps
    assert place.client(Role.OPERATOR, Scope("other")).delete(f"{RUN}/caps").status_code == 404
    assert operator.delete(f"{RUN}/caps").json()["max_calls"] == 5
    assert operator.delete(f"{RUN}/caps").status_code == 404
    assert operator.get(RUN).json()["caps"] == []


def test_what_no_caps_can_be_is_told(place: Place, operator: httpx.Client) -> None:
    assert place.client(Role.SERVICE).put(RUN, json={}).status_code == 403
    assert place.client(Role.OPERATOR, Scope("acme", "main")).put(RUN, json={}).status_code == 403
    assert operator.put(RUN, json={"organization": "other"}).status_code == 403
    both = operator.put(RUN, json={"deadline": "2030-01-31T12:00:00Z", "max_seconds": 5})
    assert [error["field"] for error in both.json()["errors"]] == ["max_seconds"]
    for bad in ({"max_calls": -1}, {"max_repeats": 0}, {"max_cost_usd": "-1"}, {"max_steps": 1}):
        assert operator.put(RUN, json=bad).status_code == 422


def test_jobs_get_the_deadline_of_their_run_until_it_has_passed(place: Place, operator: httpx.Client) -> None:
    job = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "run_id": "night"}
    operator.put(RUN, json={"deadline": "2030-01-31T12:00:00Z"})
    made = operator.post("/api/v1/jobs", json=job, headers={"Idempotency-Key": "one"})
    assert operator.get(made.json()["url"]).json()["deadline"].startswith("2030-01-31T12:00:00")
    own = operator.post("/api/v1/jobs", json={**job, "deadline": "2029-01-31T12:00:00Z"}).json()
    assert operator.get(own["url"]).json()["deadline"].startswith("2029-01-31T12:00:00")
    operator.put(RUN, json={"deadline": "2020-01-31T12:00:00Z"})
    late = operator.post("/api/v1/jobs", json=[job, {**job, "run_id": "day"}])
    assert [error["field"] for error in late.json()["errors"]] == ["jobs[0].run_id"]
    assert operator.post("/api/v1/jobs", json=job).status_code == 422
    again = operator.post("/api/v1/jobs", json=job, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()["id"]) == (202, made.json()["id"])


def test_the_client_caps(place: Place) -> None:
    with Client(place.url, place.key(Role.OPERATOR, ACME)) as client:
        caps = client.healing.cap_run("night", max_cost_usd=Decimal("0.5"), max_repeats=2, reason="why not")
        assert (caps["max_cost_usd"], caps["max_repeats"], caps["spent_usd"]) == ("0.5", 2, "0")
        assert client.healing.uncap_run("night")["max_cost_usd"] == "0.5"
