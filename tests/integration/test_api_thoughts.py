"""Thoughts: noted by agents, told with the job's trace and its run."""

from collections.abc import Iterator

import httpx
import pytest

from api.v1.runs import RunView
from api.v1.thoughts import ThoughtView
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import By
from synthralos.store.queue import thoughts
from synthralos.store.queue.thoughts import Thoughts, TooMany
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.fakes.commands import in_process
from tests.integration.api_place import ACME, JOBS, TRACES, Place, api_over, core_over, fields_of, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def agent(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def test_a_thought_is_told_in_the_trace_and_with_the_run(place: Place, agent: httpx.Client) -> None:
    first, second = (submitted(agent, run_id="night-1", metadata={"step": step}) for step in ("plan", "write"))
    place.finish(second)
    for job_id, text in ((second, "done early"), (first, "two sources disagree")):
        noted = agent.post(f"{JOBS}/{job_id}/thoughts", json={"text": text})
        assert noted.status_code == 201, noted.text
        ThoughtView.model_validate_json(noted.content)
    [part] = agent.get(f"{TRACES}/{first}").json()["jobs"]
    assert [(event["kind"], event["data"]) for event in part["events"]] == [
        ("thought", {"text": "two sources disagree"})
    ]
    run = agent.get("/api/v1/runs/night-1")
    RunView.model_validate_json(run.content)
    told = [(each["job_id"], each["text"]) for each in run.json()["thoughts"]]
    assert told == [(second, "done early"), (first, "two sources disagree")]


def test_a_key_notes_it_once(agent: httpx.Client) -> None:
    job_id, headers = submitted(agent), {"Idempotency-Key": new_id()}
    url = f"{JOBS}/{job_id}/thoughts"
    first = agent.post(url, json={"text": "hm"}, headers=headers).json()
    again = agent.post(url, json={"text": "hm"}, headers=headers)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert fields_of(agent.post(url, json={"text": "no"}, headers=headers)) == ["header.Idempotency-Key"]


def test_what_cannot_be_noted_is_told(place: Place, agent: httpx.Client) -> None:
    job_id = submitted(agent)
    url = f"{JOBS}/{job_id}/thoughts"
    assert fields_of(agent.post(url, json={"text": "x" * 8_001})) == ["text"]
    assert fields_of(agent.post(url, json={})) == ["text"]
    assert agent.post(f"{JOBS}/{new_id()}/thoughts", json={"text": "hm"}).status_code == 404
    assert agent.post(f"{JOBS}/nothing/thoughts", json={"text": "hm"}).status_code == 404
    assert place.client(Role.VIEWER).post(url, json={"text": "hm"}).status_code == 403
    assert place.client(Role.ADMIN, Scope("other")).post(url, json={"text": "hm"}).status_code == 404


def test_a_job_takes_so_many(place: Place, agent: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thoughts, "MOST_THOUGHTS", 2)
    job_id, noting = submitted(agent), Thoughts(place.core.database)
    said = [noting.add(job_id, EVERYTHING, By("ann"), text) for text in ("one", "two", "three")]
    assert [isinstance(each, TooMany) for each in said] == [False, False, True]


def test_a_job_that_takes_no_more_leaves_the_key_unused(agent: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    url, headers = f"{JOBS}/{submitted(agent)}/thoughts", {"Idempotency-Key": new_id()}
    monkeypatch.setattr(thoughts, "MOST_THOUGHTS", 0)
    for _ in range(2):
        assert agent.post(url, json={"text": "hm"}, headers=headers).status_code == 409
    monkeypatch.undo()
    assert agent.post(url, json={"text": "hm"}, headers=headers).status_code == 201


def test_the_client_and_the_command_line_note_it(
    place: Place, agent: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id, key = submitted(agent, run_id="night-2"), place.key(Role.SERVICE, ACME)
    with Client(place.url, key) as client:
        assert client.healing.note_thought(job_id, "first")["text"] == "first"
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", key)
    run = in_process(monkeypatch, capsys)
    assert run("runs", "think", job_id, "second").code == 0
    shown = run("runs", "show", "night-2")
    assert "second" in shown.out + shown.err
