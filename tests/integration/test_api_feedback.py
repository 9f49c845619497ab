"""Feedback over HTTP, by the client and by the command; it is shown in traces, and they are found by it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from api.v1.feedback import FeedbackList
from api.v1.views import Trace
from cli.main import app
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.retention.digest import Digest
from synthralos.store.sql.database import Database
from synthralos.store.tables import feedback, jobs
from synthralos_client import AsyncClient, Client
from tests.integration.api_place import JOBS, TRACES, Place, api_over, core_over, fields_of, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def give(client: httpx.Client, job_id: str, **said: Any) -> httpx.Response:
    return client.post(f"{JOBS}/{job_id}/feedback", json=said)


def found(client: httpx.Client, **params: Any) -> list[str]:
    return [trace["matched_job"] for trace in client.get(TRACES, params=params).json()["traces"]]


def test_feedback_is_kept_shown_and_replaced(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    give(client, job_id, score=1, label="helpful", comment="just right")
    give(client, job_id, score=0.2, label="toxicity", source="judge")
    answer = give(client, job_id, score=0, label="helpful", comment="no: wrong")
    FeedbackList.model_validate_json(answer.content)
    said = answer.json()["feedback"]
    assert [(each["source"], each["label"], each["score"]) for each in said] == [
        ("judge", "toxicity", 0.2), ("human", "helpful", 0.0),
    ]  # fmt: skip
    trace = place.client(Role.VIEWER).get(f"{TRACES}/{job_id}")
    Trace.model_validate_json(trace.content)
    assert trace.json()["jobs"][0]["feedback"] == said
    assert client.get(f"{JOBS}/{job_id}/feedback").json()["feedback"] == said


@pytest.mark.parametrize("digested", [False, True])
def test_traces_are_found_by_feedback(place: Place, client: httpx.Client, digested: bool) -> None:
    good, bad = submitted(client), submitted(client)
    for job_id, score in ((good, 1), (bad, 0)):
        place.finish(job_id)
        give(client, job_id, score=score, label="helpful")
    if digested:
        for job_id in (good, bad):
            place.store.backdate(job_id, finished_at=2)
        Digest(place.core.database).finish()
    assert found(client, label="helpful") == [bad, good]
    assert found(client, label="helpful", min_score=0.5) == found(client, min_score=0.5, q="capital") == [good]
    assert found(client, label="other") == found(client, max_score=-1) == []


def test_who_may_say_it(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    assert give(place.client(Role.VIEWER), job_id, score=1).status_code == 403
    assert give(place.client(Role.SERVICE, Scope("other")), job_id, score=1).status_code == 404
    assert give(place.client(Role.SERVICE), job_id, score=1).status_code == 200


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "score"),
        ({"score": 1e9}, "score"),
        ({"comment": "x" * 2001}, "comment"),
        ({"comment": "a\0b"}, "comment"),
        ({"label": ""}, "label"),
        ({"score": 1, "stars": 5}, "stars"),
    ],
)
def test_what_is_no_feedback_is_refused(client: httpx.Client, said: dict[str, Any], field: str) -> None:
    assert fields_of(give(client, submitted(client), **said)) == [field]


def test_a_job_has_so_much_of_it(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthralos.store.admin.feedback.MOST_OF_A_JOB", 2)
    job_id = submitted(client)
    answers = [give(client, job_id, score=1, label=label).status_code for label in ("a", "b", "c", "a")]
    assert answers == [200, 200, 409, 200]


def test_it_goes_with_its_job(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    give(client, job_id, score=1)
    with place.core.database.transaction() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.id == job_id))
    assert place.store.rows(feedback) == []


def test_clients_and_the_command_say_it(place: Place, client: httpx.Client) -> None:
    job_id, secret = submitted(client), place.key(Role.SERVICE)
    with Client(place.url, secret) as ours:
        ours.observability.give_feedback(job_id, score=1.0, label="a")

    async def saying() -> None:
        async with AsyncClient(place.url, secret) as theirs:
            await theirs.observability.give_feedback(job_id, comment="good", source="judge")

    asyncio.run(saying())
    run = CliRunner(env={"SYNTHRALOS_URL": place.url, "SYNTHRALOS_API_KEY": secret})
    done = run.invoke(app, ["traces", "feedback", job_id, "--label", "b", "--score", "0.5", "--json"])
    assert [each["label"] for each in json.loads(done.stdout)["feedback"]] == ["a", None, "b"]
    assert "judge" in run.invoke(app, ["traces", "feedback", job_id, "--comment", "x"]).stdout
