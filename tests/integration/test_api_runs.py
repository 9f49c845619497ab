"""Agent runs over HTTP: seen, and gone on with from the last good step."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

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
