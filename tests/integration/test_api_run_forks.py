"""Forks of agent runs over HTTP: what is kept, what is asked anew, and what is on record of it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.run_forks import ForkedView
from api.v1.runs import RunView
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import Transition
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
def service(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def _ended(place: Place, step: str, transition: Transition = Transition.SUCCEED, text: str = "Hello") -> str:
    constraints = Constraints(region="eu")
    job = new_job(
        text, run_id="night", metadata={"step": step}, tenant=Tenant("acme", "main"), constraints=constraints
    )  # fmt: skip
    failed = Failure(FailureClass.OVERLOADED, "try later").to_json() if transition is Transition.FAIL else None
    started = place.store.started(job)
    assert place.store.settle(settlement(started, transition, attempt=attempt_end(1), failure=failed))
    return job.id


def _run(place: Place) -> list[str]:
    plan = _ended(place, "plan")
    search = _ended(place, "search", Transition.FAIL)
    return [plan, search, _ended(place, "write"), _ended(place, "check")]


def test_a_fork_keeps_what_was_finished_and_asks_one_step_anew(place: Place, service: httpx.Client) -> None:
    plan, _, write, _ = _run(place)
    changes: dict[str, Any] = {"model": "auto", "input": "Shorter", "constraints": {"region": None, "fallback": False}}
    made = service.post(f"{RUN}/fork", json={"from_step": "write", "run_id": "night-2", **changes})
    assert made.status_code == 201
    ForkedView.model_validate_json(made.content)
    done = made.json()
    assert [step["job_id"] for step in done["fork"]["kept"]] == [plan]
    assert (done["missing"], done["fork"]["saved_usd"]) == (["search", "check"], "0.0004425")
    assert (done["fork"]["from_step"], done["fork"]["differs"]["input"]) == (write, True)
    assert set(done["fork"]["differs"]) == {"input", "constraints"}
    shown = service.get("/api/v1/runs/night-2")
    RunView.model_validate_json(shown.content)
    assert (shown.json()["fork"], shown.json()["jobs"]) == (done["fork"], 1)
    job = service.get(f"/api/v1/jobs/{done['job_id']}").json()
    assert (job["run_id"], job["metadata"], job["state"]) == ("night-2", {"step": "write"}, "queued")
    assert place.doorbell.wait_for(done["job_id"])
    assert service.get(RUN).json()["fork"] is None


def test_the_same_fork_again_is_the_same_run(place: Place, service: httpx.Client) -> None:
    _run(place)
    wanted = {"from_step": "write", "run_id": "night-2", "input": "Shorter"}
    first, again = (service.post(f"{RUN}/fork", json=wanted).json() for _ in range(2))
    assert again == first
    assert service.get("/api/v1/runs/night-2").json()["jobs"] == 1
    assert service.post(f"{RUN}/fork", json={**wanted, "input": "Longer"}).status_code == 409
    assert service.post(f"{RUN}/fork", json={**wanted, "run_id": "night"}).status_code == 409


def test_a_fork_of_a_fork_keeps_what_both_have_finished(place: Place, service: httpx.Client) -> None:
    plan, *_ = _run(place)
    first = service.post(f"{RUN}/fork", json={"from_step": "write", "run_id": "night-2"}).json()
    claimed = place.store.started(
        new_job("And?", run_id="night-2", metadata={"step": "check"}, tenant=Tenant("acme", "main"))
    )
    assert place.store.settle(settlement(claimed, attempt=attempt_end(1)))
    second = service.post("/api/v1/runs/night-2/fork", json={"from_step": "check"}).json()
    assert [step["job_id"] for step in second["fork"]["kept"]] == [plan]
    assert (second["fork"]["parent"], second["missing"]) == ("night-2", ["write"])
    assert second["run_id"] not in ("night", "night-2", first["job_id"])


def test_what_cannot_be_forked_is_told(place: Place, service: httpx.Client) -> None:
    _run(place)
    other = _ended(place, "write", text="Hello again")

    def errors(**body: Any) -> list[str]:
        return [error["field"] for error in service.post(f"{RUN}/fork", json=body).json()["errors"]]

    assert errors(from_step="dream") == ["from_step"]
    assert errors(from_step="write") == ["from_step"]
    assert errors(from_step=other, input=[{"role": "nobody", "content": "Hi"}]) != []
    assert errors(from_step=other, constraints={"wishes": 3}) != []
    assert service.post(f"{RUN}/fork", json={"from_step": other}).status_code == 201
    assert service.post("/api/v1/runs/day/fork", json={"from_step": "write"}).status_code == 404
    assert place.client(Role.SERVICE, Scope("other")).post(f"{RUN}/fork", json={"from_step": other}).status_code == 404
    assert place.client(Role.VIEWER).post(f"{RUN}/fork", json={"from_step": other}).status_code == 403


def test_the_client_forks(place: Place) -> None:
    _run(place)
    with Client(place.url, place.key(Role.SERVICE, ACME)) as client:
        made = client.healing.fork_run("night", "write", new_run_id="night-2", input="Shorter")
        assert client.healing.run("night-2")["steps"][0]["job_id"] == made["job_id"]
