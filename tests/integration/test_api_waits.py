"""Wait points through the API, the client and the command line."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.wait_views import WaitList, WaitView
from synthralos.bus.protocol import Topic
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.domain.waits import DENY, NewWait, WaitKind
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client, Conflict
from tests.fakes.commands import in_process
from tests.fakes.jobs import settlement
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of, meanwhile, submitted

WAITS, RUN_WAITS = "/api/v1/waits", "/api/v1/runs/night-1/waits"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def operator(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


def waiting(place: Place, client: httpx.Client) -> tuple[str, str]:
    """(job id, wait id) of a job that waits for an approval."""
    job_id = submitted(client)
    [job] = place.store.claim([job_id])
    now = place.store.now()
    wait = NewWait(WaitKind.APPROVAL, "legal", "may it go?", 3600.0, now, DENY, ("policy:0199@3/one",))
    done = settlement(job, Transition.PARK, delay=3600.0)
    done.stage, done.wait = Stage.GUARD, wait
    assert place.store.settle(done)
    return job_id, wait.id


def test_an_open_wait_is_listed_shown_and_approved(place: Place, operator: httpx.Client) -> None:
    job_id, wait_id = waiting(place, operator)
    listed = operator.get(WAITS, params={"state": "open", "job": job_id})
    WaitList.model_validate_json(listed.content)
    assert [each["id"] for each in listed.json()["waits"]] == [wait_id]
    assert operator.get(WAITS, params={"state": "answered"}).json() == {"waits": [], "next": None}
    shown = operator.get(f"{WAITS}/{wait_id}").json()
    assert (shown["job_id"], shown["default"], shown["answer"]) == (job_id, {"answer": "deny"}, None)
    rung = len(place.doorbell.rings)
    answered = operator.post(f"{WAITS}/{wait_id}", json={"answer": "approve", "comment": "seen"})
    WaitView.model_validate_json(answered.content)
    assert (answered.json()["state"], answered.json()["comment"]) == ("answered", "seen")
    assert answered.json()["answered_by"].startswith("key:")
    assert len(place.doorbell.rings) == rung + 1
    assert operator.get(f"{JOBS}/{job_id}").json()["state"] == State.QUEUED


def test_the_same_answer_again_changes_nothing_and_another_is_told_who_answered(
    place: Place, operator: httpx.Client
) -> None:
    job_id, wait_id = waiting(place, operator)
    first = operator.post(f"{WAITS}/{wait_id}", json={"answer": "deny", "comment": "too dear"}).json()
    assert operator.post(f"{WAITS}/{wait_id}", json={"answer": "deny"}).json() == first
    other = place.client(Role.ADMIN).post(f"{WAITS}/{wait_id}", json={"answer": "approve"})
    assert other.status_code == 409
    assert first["answered_by"] in other.json()["detail"]
    denied = operator.get(f"{JOBS}/{job_id}").json()
    assert denied["state"] == State.DENIED
    assert "too dear" in str(denied["verdict"])


def test_who_waits_for_the_job_hears_of_a_denial(place: Place, operator: httpx.Client) -> None:
    job_id, wait_id = waiting(place, operator)
    reader = place.client(Role.VIEWER)

    def deny() -> None:
        place.await_waits()
        assert operator.post(f"{WAITS}/{wait_id}", json={"answer": "deny"}).status_code == 200

    with meanwhile(deny):
        assert reader.get(f"{JOBS}/{job_id}", params={"wait": 60}).json()["state"] == State.DENIED


def test_answering_has_a_permission_of_its_own_and_tenants_are_apart(place: Place, operator: httpx.Client) -> None:
    _, wait_id = waiting(place, operator)
    for role in (Role.VIEWER, Role.SERVICE):
        assert place.client(role).post(f"{WAITS}/{wait_id}", json={"answer": "approve"}).status_code == 403
    stranger = place.client(Role.ADMIN, Scope("other"))
    assert stranger.get(f"{WAITS}/{wait_id}").status_code == 404
    assert stranger.post(f"{WAITS}/{wait_id}", json={"answer": "approve"}).status_code == 404
    assert stranger.get(WAITS).json()["waits"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "answer"),
        ({"payload": {}}, "answer"),
        ({"answer": "maybe"}, "answer"),
        ({"answer": "approve", "payload": {}}, "answer"),
        ({"answer": "approve", "comment": "x" * 501}, "comment"),
        ({"payload": {"x": "y" * 20_000}}, "payload"),
    ],
)
def test_a_wrong_answer_names_its_field(place: Place, operator: httpx.Client, body: dict[str, Any], field: str) -> None:
    _, wait_id = waiting(place, operator)
    answer = operator.post(f"{WAITS}/{wait_id}", json=body)
    assert answer.status_code == 422
    assert fields_of(answer) == [field]


def test_a_job_may_be_held_for_a_signal(place: Place, operator: httpx.Client) -> None:
    wanted = {"signal": "paid", "within_seconds": 60, "default": "continue"}
    job_id = submitted(operator, constraints={"wait_for": wanted})
    assert operator.get(f"{JOBS}/{job_id}").json()["constraints"]["wait_for"] == wanted
    wrong = operator.post(JOBS, json={"prompt": "Hi", "constraints": {"wait_for": {"signal": "", "within_seconds": 0}}})
    assert sorted(fields_of(wrong)) == ["constraints.wait_for.signal", "constraints.wait_for.within_seconds"]
    granting = {"granted": [{"what": "signal:paid", "wait": "", "by": "me"}]}
    assert operator.post(JOBS, json={"prompt": "Hi", "constraints": granting}).status_code == 422


def test_an_agent_asks_and_hears_the_answer_at_once(place: Place, operator: httpx.Client) -> None:
    agent = place.client(Role.SERVICE)
    asked = agent.post(RUN_WAITS, json={"kind": "signal", "name": "paid", "prompt": "was it paid?"})
    assert asked.status_code == 201
    wait = asked.json()
    assert (wait["run_id"], wait["state"], wait["default"]) == ("night-1", "open", None)
    assert agent.get(f"/api/v1/runs/other/waits/{wait['id']}").status_code == 404

    def send() -> None:
        assert operator.post(f"{WAITS}/{wait['id']}", json={"payload": {"invoice": 7}}).status_code == 200

    with meanwhile(send):
        heard = agent.get(f"{RUN_WAITS}/{wait['id']}", params={"wait": 60}).json()
    assert (heard["state"], heard["answer"]) == ("answered", {"payload": {"invoice": 7}})


def test_asking_again_under_a_key_gives_the_same_wait(place: Place, operator: httpx.Client) -> None:
    headers, body = {"Idempotency-Key": new_id()}, {"name": "legal"}
    first = operator.post(RUN_WAITS, json=body, headers=headers).json()["id"]
    assert operator.post(RUN_WAITS, json=body, headers=headers).json()["id"] == first
    other = operator.post(RUN_WAITS, json={"name": "sales"}, headers=headers)
    assert fields_of(other) == ["header.Idempotency-Key"]
    wrong = operator.post(RUN_WAITS, json={"name": "legal", "default_payload": {}})
    assert wrong.status_code == 422


def test_a_default_that_holds_is_told_to_who_asks(place: Place, operator: httpx.Client) -> None:
    wait = operator.post(RUN_WAITS, json={"name": "legal", "within_seconds": 1, "default": "approve"}).json()

    def sweep() -> None:
        timed_out: list[str] = []
        while not timed_out:
            timed_out = place.store.sweeps.time_out_waits()
        place.core.bus.publish(Topic.CHANGED, timed_out)

    with meanwhile(sweep):
        heard = operator.get(f"{RUN_WAITS}/{wait['id']}", params={"wait": 60}).json()
    assert (heard["state"], heard["answer"], heard["answered_by"]) == ("timed_out", {"answer": "approve"}, "system")


def test_the_clients_do_the_same(place: Place) -> None:
    key = place.key(Role.ADMIN, ACME)
    with Client(place.url, key) as client:
        asked = client.waits.ask("night-2", "legal", prompt="may it go?", within_seconds=60)
        assert [each["id"] for each in client.waits.list(state="open", run="night-2", page_size=1)] == [asked["id"]]
        assert client.waits.answer(asked["id"], "approve")["answer"] == {"answer": "approve"}
        with pytest.raises(Conflict):
            client.waits.answer(asked["id"], "deny")
        assert client.waits.result(asked["id"])["state"] == "answered"

    async def whole() -> Any:
        async with AsyncClient(place.url, key) as client:
            asked = await client.waits.ask("night-3", "paid", kind="signal")
            await client.waits.signal(asked["id"], {"invoice": 7})
            assert [each["id"] async for each in client.waits.list(run="night-3")] == [asked["id"]]
            return (await client.waits.result(asked["id"]))["answer"]

    assert asyncio.run(whole()) == {"payload": {"invoice": 7}}


def test_the_command_line_lists_shows_and_answers(
    place: Place, operator: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR))
    run = in_process(monkeypatch, capsys)
    _, wait_id = waiting(place, operator)
    assert wait_id in run("waits", "list", "--state", "open").out
    assert "may it go?" in run("waits", "show", wait_id).out
    assert run("waits", "answer", wait_id, "approve", "--comment", "seen", "--json").json["state"] == "answered"
    assert run("waits", "answer", wait_id, "deny").code != 0
    signal = operator.post(RUN_WAITS, json={"kind": "signal", "name": "paid"}).json()["id"]
    assert run("waits", "answer", signal, "signal", "--payload", "[]").code == 2
    sent = run("waits", "answer", signal, "signal", "--payload", '{"invoice": 7}', "--json").json
    assert sent["answer"] == {"payload": {"invoice": 7}}
