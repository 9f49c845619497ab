"""A job's events as they come: each once, in order, with ids that one can come back to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.v1.views import EventView, JobView, SpanView
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.states import Transition
from synthralos.store.sql.database import Database
from tests.fakes.jobs import failure, settlement
from tests.integration.api_place import JOBS, Place, api_over, core_over, meanwhile, submitted


@dataclass(frozen=True)
class Entry:
    id: str
    event: str
    data: dict[str, Any]


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def entries(response: httpx.Response) -> Iterator[Entry]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Entry(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


def follow(client: httpx.Client, job_id: str, after: str | None = None) -> list[Entry]:
    """The stream to its end."""
    headers = {} if after is None else {"Last-Event-ID": after}
    with client.stream("GET", f"{JOBS}/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(entries(response))


def test_a_finished_job_tells_its_whole_story_and_ends(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    place.finish(job_id)
    told = follow(client, job_id)
    assert [entry.event for entry in told] == ["attempt", "attempt", "state", "done"]
    assert [entry.data["attributes"]["outcome"] for entry in told[:2]] == ["open", "succeeded"]
    for entry in told[:2]:
        SpanView.model_validate_json(json.dumps(entry.data))
    JobView.model_validate_json(json.dumps(told[-1].data))
    assert told[-1].data["state"] == told[-2].data["state"] == "succeeded"


def test_a_job_is_followed_while_it_runs(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    told: list[Entry] = []
    with client.stream("GET", f"{JOBS}/{job_id}/events") as response:
        stream = entries(response)
        told.append(next(stream))
        job = place.started(job_id)
        place.core.bus.publish(Topic.CHANGED, [job_id])
        told += [next(stream), next(stream)]
        assert place.store.settle(settlement(job, Transition.FAIL, failure=failure().to_json(), analyzed=True))
        place.core.bus.publish(Topic.CHANGED, [job_id])
        told += list(stream)
    assert [entry.event for entry in told] == ["state", "attempt", "state", "state", "done"]
    assert [entry.data["state"] for entry in told if entry.event == "state"] == ["queued", "active", "failed"]


def test_who_comes_back_gets_what_follows(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    place.finish(job_id, Transition.FAIL, failure=failure().to_json())
    assert client.post(f"{JOBS}/{job_id}/retry", json={"reason": "again"}).status_code == 200
    assert client.post(f"{JOBS}/{job_id}/cancel").status_code == 200
    place.store.backdate(job_id, analyzed_at=0)
    whole = follow(client, job_id)
    assert [entry.event for entry in whole] == ["attempt", "attempt", "event", "event", "state", "done"]
    assert len({entry.id for entry in whole}) == len(whole)
    for number, entry in enumerate(whole[:-1]):
        assert follow(client, job_id, entry.id) == whole[number + 1 :]
    EventView.model_validate_json(json.dumps(whole[2].data))


def test_a_finished_job_that_nobody_has_analyzed_is_not_done(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    assert client.post(f"{JOBS}/{job_id}/cancel").status_code == 200
    with client.stream("GET", f"{JOBS}/{job_id}/events") as response:
        stream = entries(response)
        assert [next(stream).event, next(stream).event] == ["event", "state"]
        place.store.backdate(job_id, analyzed_at=0)
        place.core.bus.publish(Topic.CHANGED, [job_id])
        assert [entry.event for entry in stream] == ["done"]


def test_a_server_that_stops_ends_the_streams(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)

    def stop() -> None:
        place.await_looks()
        place.server.stop()

    with meanwhile(stop):
        told = follow(client, job_id)
    assert [entry.event for entry in told] == ["state"]


def test_a_viewer_may_follow_and_a_stranger_may_not(place: Place) -> None:
    job_id = submitted(place.client(Role.SERVICE))
    place.finish(job_id)
    assert follow(place.client(Role.VIEWER), job_id)
    assert place.client_with(None).get(f"{JOBS}/{job_id}/events").status_code == 401
