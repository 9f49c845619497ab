"""A job that says no classification is taken for what `UNCLASSIFIED` says, wherever it comes from."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.firing_parts import build_firing
from synthralos.store.sql.database import Database
from tests.fakes.schedules import Leader
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of

JOB = {"model": "auto", "prompt": "Name three rivers."}
SCHEDULE = {"name": "nightly", "interval_seconds": 60, "job": JOB}
FIELD = "constraints.classification"


@pytest.fixture
def place(database: Database, request: pytest.FixtureRequest) -> Iterator[Place]:
    with api_over(core_over(database, unclassified=request.param)) as place:
        yield place


def class_of(place: Place, job_id: str) -> Any:
    return place.client().get(f"{JOBS}/{job_id}").json()["constraints"]["classification"]


@pytest.mark.parametrize("place", ["eu"], indirect=True)
def test_it_is_taken_for_eu_data_and_what_says_otherwise_is_believed(place: Place) -> None:
    client = place.client()
    said = {**JOB, "constraints": {"classification": "none"}}
    unsaid, other = (client.post(JOBS, json=body).json()["id"] for body in (JOB, said))
    assert (class_of(place, unsaid), class_of(place, other)) == ("eu", "none")
    schedule = client.post("/api/v1/schedules", json=SCHEDULE).json()["id"]
    [by_hand] = client.post(f"/api/v1/schedules/{schedule}/run").json()["job_ids"]
    assert class_of(place, by_hand) == "eu"


@pytest.mark.parametrize("place", ["eu"], indirect=True)
def test_jobs_of_schedules_too(place: Place) -> None:
    client, leader = place.client(), Leader(place.store)
    schedule = client.post("/api/v1/schedules", json=SCHEDULE).json()["id"]
    leader.set_due(schedule, datetime.now(UTC) - timedelta(seconds=1))
    build_firing(place.core, lambda: leader.lead).firing.round()
    [fired] = client.get(f"/api/v1/schedules/{schedule}/firings").json()["firings"]
    assert [class_of(place, job_id) for job_id in fired["job_ids"]] == ["eu"]


@pytest.mark.parametrize("place", ["refuse"], indirect=True)
def test_it_is_refused_where_each_job_has_to_say_it(place: Place) -> None:
    client = place.client()
    for path, body, field in (
        (JOBS, JOB, FIELD),
        (JOBS, [{**JOB, "constraints": {"classification": "eu"}}, JOB], f"jobs[1].{FIELD}"),
        ("/api/v1/schedules", SCHEDULE, f"job.{FIELD}"),
        ("/api/v1/route/explain", JOB, FIELD),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, fields_of(answer)) == (422, [field]), answer.text
    said = {**JOB, "constraints": {"classification": "none"}}
    assert client.post(JOBS, json=said).status_code == 202
