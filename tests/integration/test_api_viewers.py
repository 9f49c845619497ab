"""Whoever only looks sees what a job asked and got, and nothing of how the house decided, wherever jobs are shown."""

import json
from collections.abc import Iterator

import httpx
import pytest

from api.v1.views import JobPage, JobView
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.permissions import Role
from synthralos.domain.states import Transition
from synthralos.store.sql.database import Database
from tests.integration.api_place import JOBS, Place, api_over, core_over, submitted

SAID = "openai said: your org org-7 is over its limit"
FAILURE = Failure(FailureClass.SERVER_ERROR, SAID, http_status=503, provider_code="over_limit").to_json()
PATHS = ("{job}", "{job}?wait=0.1", "{job}?wait=0.10", "")
"""The short way, the short way with a wait, the way through the framework, and the list."""


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def failed(place: Place) -> str:
    client = place.client(Role.SERVICE)
    job_id = submitted(client, constraints={"exclude": ["openai/gpt-5-nano@us"]})
    place.finish(job_id, Transition.FAIL, failure=FAILURE)
    return job_id


def got(client: httpx.Client, path: str, job_id: str) -> httpx.Response:
    return client.get(f"{JOBS}/{path.format(job=job_id)}".rstrip("/")).raise_for_status()


@pytest.mark.parametrize("path", PATHS)
def test_a_viewer_sees_no_plan_no_exclusions_and_no_words_of_providers(place: Place, path: str) -> None:
    job_id = failed(place)
    whole, seen = (got(place.client(role), path, job_id) for role in (Role.SERVICE, Role.VIEWER))
    assert SAID in whole.text
    assert SAID not in seen.text
    assert "over_limit" not in seen.text
    assert "openai/gpt-5-nano@us" not in seen.text
    (JobView if path else JobPage).model_validate_json(seen.content)
    one = seen.json() if path else seen.json()["jobs"][0]
    assert (one["id"], one["state"], one["failure"]["class"]) == (job_id, "failed", "server_error")
    assert one.get("plan") is None
    assert got(place.client(Role.SERVICE), path, job_id).json() == whole.json(), "nobody else's answer has changed"


def test_a_viewer_of_dead_letters_sees_classes_alone(place: Place) -> None:
    job_id = failed(place)
    [one] = place.client(Role.VIEWER).get("/api/v1/dead-letters").json()["jobs"]
    assert (one["id"], one["failure"]["class"]) == (job_id, "server_error")
    assert SAID not in json.dumps(one)


def test_a_viewer_who_follows_a_job_is_told_no_more_than_one_who_reads_it(place: Place) -> None:
    job_id = failed(place)
    told = {role: got(place.client(role), "{job}/events", job_id).text for role in (Role.SERVICE, Role.VIEWER)}
    assert SAID in told[Role.SERVICE]
    assert SAID not in told[Role.VIEWER]
    assert "openai/gpt-5-nano@us" not in told[Role.VIEWER]
    assert told[Role.VIEWER].count("event: ") == told[Role.SERVICE].count("event: ")
    last = told[Role.VIEWER].strip().rpartition("data: ")[2]
    assert json.loads(last) == got(place.client(Role.VIEWER), "{job}", job_id).json()
