"""Repairs through the API, the client and the command line."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.repair_views import RepairList, RepairView
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.repairs import NewRepair, RepairKind
from synthralos.domain.scope import Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client, Conflict
from tests.fakes.commands import in_process
from tests.fakes.jobs import failure, settlement
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of, submitted

REPAIRS = "/api/v1/repairs"
LINK = {"stackstorm_api_url": "http://127.0.0.1:1/api/v1", "stackstorm_api_key": "key", "enable_stackstorm": True}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database, **LINK)) as place:
        yield place


@pytest.fixture
def operator(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


def parked(place: Place, client: httpx.Client, **fields: Any) -> tuple[str, str]:
    """(job id, repair id) of a job that waits for a repair."""
    job = place.started(submitted(client, **fields))
    job.attempts += 1
    repair = NewRepair(RepairKind.RETRY, "overloaded at a", "overloaded", place.store.now(), {"job_id": job.id})
    done = settlement(
        job, Transition.PARK, stage=Stage.HEAL, delay=3600.0, failure=failure().to_json(), repair=repair
    )  # fmt: skip
    assert place.store.settle(done)
    return job.id, repair.id


def test_a_repair_is_listed_and_shown_and_its_job_says_for_what_it_waits(place: Place, operator: httpx.Client) -> None:
    job_id, repair_id = parked(place, operator)
    listed = operator.get(REPAIRS, params={"state": "asked", "job": job_id})
    RepairList.model_validate_json(listed.content)
    assert [each["id"] for each in listed.json()["repairs"]] == [repair_id]
    assert operator.get(REPAIRS, params={"state": "succeeded"}).json() == {"repairs": [], "next": None}
    shown = operator.get(f"{REPAIRS}/{repair_id}")
    RepairView.model_validate_json(shown.content)
    assert (shown.json()["job_id"], shown.json()["asked_by"], shown.json()["kind"]) == (job_id, "heal", "retry")
    assert "StackStorm" in operator.get(f"{JOBS}/{job_id}").json()["waits_for"]


def test_pages_lead_on(place: Place, operator: httpx.Client) -> None:
    ids = [parked(place, operator)[1] for _ in range(3)]
    first = operator.get(REPAIRS, params={"limit": 2}).json()
    second = operator.get(REPAIRS, params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["id"] for page in (first, second) for each in page["repairs"]] == ids[::-1]
    assert second["next"] is None


def test_a_repair_moves_its_job_once_and_a_second_try_is_told_why_not(place: Place, operator: httpx.Client) -> None:
    job_id, repair_id = parked(place, operator)
    moved = operator.post(f"{JOBS}/{job_id}/retry", json={"repair_id": repair_id, "reason": "go"})
    assert (moved.status_code, moved.json()["state"], moved.json()["stage"]) == (200, "queued", "route")
    again = operator.post(f"{JOBS}/{job_id}/reroute", json={"repair_id": repair_id})
    assert (again.status_code, "repair" in again.json()["detail"]) == (409, True)
    assert operator.post(f"{JOBS}/{job_id}/retry", json={"repair_id": repair_id}).status_code == 409
    assert fields_of(operator.post(f"{JOBS}/{job_id}/retry", json={"repair_id": "x" * 36})) == ["repair_id"]


def test_a_person_may_send_a_job_on_that_waits_for_a_repair(place: Place, operator: httpx.Client) -> None:
    job_id, _ = parked(place, operator)
    assert operator.post(f"{JOBS}/{job_id}/retry").json()["state"] == State.QUEUED
    assert operator.post(f"{JOBS}/{job_id}/retry").status_code == 409


def test_recovering_a_run_sends_on_what_waits_for_a_repair(place: Place, operator: httpx.Client) -> None:
    job_id, _ = parked(place, operator, run_id="night")
    done = operator.post("/api/v1/runs/night/recover").json()
    assert done["retried"] == [job_id]
    assert operator.post("/api/v1/runs/night/recover").json()["retried"] == []


def test_an_operator_asks_for_a_repair_of_a_dead_letter_once(place: Place, operator: httpx.Client) -> None:
    job_id = submitted(operator)
    place.finish(job_id, Transition.FAIL, failure=failure().to_json())
    asked = operator.post(f"{JOBS}/{job_id}/repair", json={"reason": "the key was renewed"})
    RepairView.model_validate_json(asked.content)
    assert (asked.status_code, asked.json()["state"], asked.json()["failure_class"]) == (202, "asked", "server_error")
    assert asked.json()["asked_by"].startswith("key:")
    again = operator.post(f"{JOBS}/{job_id}/repair", json={"kind": "reroute"})
    assert (again.status_code, again.json()["id"]) == (202, asked.json()["id"])
    [entry] = place.client().get("/api/v1/audit", params={"act": "repairs.ask"}).json()["changes"]
    assert entry["reason"] == "the key was renewed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "recover"}, "kind"),
        ({"kind": "incident"}, "kind"),
        ({"kind": "polish"}, "kind"),
        ({"pin": "sandbox/small@eu"}, "pin"),
        ({"kind": "reroute", "pin": "no/such@eu"}, "pin"),
        ({"kind": "retry", "more": 1}, "more"),
    ],
)
def test_what_cannot_be_asked_for_is_named(place: Place, operator: httpx.Client, body: Any, field: str) -> None:
    answer = operator.post(f"{JOBS}/{submitted(operator)}/repair", json=body)
    assert (answer.status_code, fields_of(answer)) == (422, [field])


def test_viewers_look_and_ask_for_nothing_and_tenants_see_their_own(place: Place, operator: httpx.Client) -> None:
    job_id, repair_id = parked(place, operator)
    viewer, stranger = place.client(Role.VIEWER), place.client(Role.OPERATOR, Scope("other"))
    assert viewer.get(f"{REPAIRS}/{repair_id}").status_code == 200
    assert viewer.post(f"{JOBS}/{job_id}/repair").status_code == 403
    assert stranger.get(f"{REPAIRS}/{repair_id}").status_code == 404
    assert stranger.get(REPAIRS).json()["repairs"] == []
    assert stranger.post(f"{JOBS}/{job_id}/repair").status_code == 404
    assert operator.get(f"{REPAIRS}/{new_id()}").status_code == operator.get(f"{REPAIRS}/x").status_code == 404


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stackstorm_api_url": None, "stackstorm_api_key": None}, "STACKSTORM_API_URL"),
        ({"enable_stackstorm": False}, "enable_stackstorm"),
        ({"enable_stackstorm_retry": False}, "enable_stackstorm_retry"),
        ({"stackstorm_residency": "us"}, "STACKSTORM_RESIDENCY"),
    ],
)
def test_where_stackstorm_may_not_be_asked_the_answer_says_what_to_do(
    database: Database, settings: dict[str, Any], told: str
) -> None:
    with api_over(core_over(database, **{**LINK, **settings})) as place:
        operator = place.client(Role.OPERATOR)
        job_id = submitted(operator, constraints={"classification": "eu"} if "stackstorm_residency" in settings else {})
        answer = operator.post(f"{JOBS}/{job_id}/repair")
    assert (answer.status_code, told in answer.json()["detail"]) == (409, True)


def test_the_client_lists_shows_and_asks(place: Place, operator: httpx.Client) -> None:
    job_id, repair_id = parked(place, operator)
    with Client(place.url, place.key(Role.OPERATOR)) as client:
        assert [each["id"] for each in client.repairs.list(job=job_id)] == [repair_id]
        assert client.repairs.get(repair_id)["workflow"] == "synthralos.llm_retry"
        assert client.repairs.ask(job_id, kind="retry", reason="again")["id"] == repair_id
        done = submitted(operator)
        place.finish(done)
        with pytest.raises(Conflict):
            client.repairs.ask(done)

    async def the_same() -> list[str]:
        async with AsyncClient(place.url, place.key(Role.OPERATOR)) as client:
            assert (await client.repairs.get(repair_id))["id"] == repair_id
            assert (await client.repairs.ask(job_id))["id"] == repair_id
            return [each["id"] async for each in client.repairs.list(state="asked")]

    assert asyncio.run(the_same()) == [repair_id]


def test_the_command_line_lists_shows_and_asks(
    place: Place, operator: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR))
    run = in_process(monkeypatch, capsys)
    job_id, repair_id = parked(place, operator)
    assert repair_id in run("repairs", "list", "--state", "asked").out
    assert "synthralos.llm_retry" in run("repairs", "show", repair_id).out
    assert run("repairs", "ask", job_id, "--reason", "now", "--json").json["id"] == repair_id
    assert run("repairs", "show", new_id()).code != 0
