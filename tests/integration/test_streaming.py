"""Deltas from a worker to a reader, over the API: while the job runs, after a break, and long after its end."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.tables import stream_chunks
from synthralos.streams.memory import MemoryStreams
from synthralos_client import AsyncClient, Client, Delta
from tests.fakes.stores import Store
from tests.integration.api_place import Place, api_over
from tests.integration.worker_place import WorkerPlace

TEXT = "Salve, müde Welt \U0001f30d, how are you?"


@dataclass(frozen=True)
class Entry:
    id: str
    event: str
    data: dict[str, Any]


class Scene:
    """A worker and an API that share one core's streams, and a client."""

    def __init__(self, database: Database, stack: ExitStack) -> None:
        self.workers = WorkerPlace(Store(database), stack)
        self.core = self.workers.core(worker_threads=2)
        self.worker = self.workers.start(self.core)
        self.place: Place = stack.enter_context(api_over(self.core))
        self.http = self.place.client()
        self.key = self.http.headers["Authorization"].removeprefix("Bearer ")
        self.client = stack.enter_context(Client(self.place.url, self.key))

    def submit(self, sandbox: dict[str, Any] | None = None, **fields: Any) -> str:
        options = {"text": TEXT, **(sandbox or {})}
        return self.client.submit("Greet.", stream=True, provider_options={"sandbox": options}, **fields).id

    def deltas(self, job_id: str, **more: Any) -> list[Delta]:
        return list(self.client.stream(job_id, **more))

    def entries(self, job_id: str, last_id: str | None = None) -> Iterator[Entry]:
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        with self.http.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=headers) as response:
            assert response.status_code == 200
            yield from entries(response)


def entries(response: httpx.Response) -> Iterator[Entry]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and fields:
            yield Entry(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(database, stack)


def text_of(deltas: list[Delta]) -> str:
    text = ""
    for delta in deltas:
        text = "" if delta.restarted else text + delta.text
    return text


def test_an_answer_is_told_before_it_is_whole(scene: Scene) -> None:
    job_id = scene.submit({"delay_seconds": 1.0})
    found = scene.client.stream(job_id)
    first = next(found)
    assert first.text.startswith("Salve,")
    assert scene.workers.store.state(job_id) == State.ACTIVE
    rest = list(found)
    assert len(rest) > 2
    assert text_of([first, *rest]) == TEXT
    assert rest[-1].job is not None
    assert rest[-1].job.text == TEXT


def test_who_comes_back_gets_what_is_missing_and_nothing_twice(scene: Scene) -> None:
    job_id = scene.submit({"delay_seconds": 0.6})
    every = list(scene.entries(job_id))
    assert every[-1].event == "done"
    whole = "".join(entry.data["text"] for entry in every if entry.event == "delta")
    assert whole == TEXT
    for number, entry in enumerate(every[:-1]):
        before = "".join(e.data["text"] for e in every[: number + 1] if e.event == "delta")
        later = list(scene.entries(job_id, entry.id))
        told = "".join(e.data["text"] for e in later if e.event == "delta")
        assert before + told == TEXT
        assert later[-1].event == "done"
        kinds = [e for e in later if e.event in ("span", "attempt", "event")]
        expected = [e for e in every[number + 1 :] if e.event in ("span", "attempt", "event")]
        assert {e.id.partition("@")[0] for e in expected} <= {e.id.partition("@")[0] for e in kinds}


def test_long_after_its_end_the_rest_comes_from_the_result(scene: Scene, database: Database) -> None:
    job_id = scene.submit({"delay_seconds": 0.3})
    every = scene.deltas(job_id)
    forget(scene, database)
    for place, delta in enumerate(every[:-1]):
        before = text_of(every[: place + 1])
        assert before + text_of(scene.deltas(job_id, last_event_id=delta.id)) == TEXT
    assert text_of(scene.deltas(job_id)) == TEXT


def forget(scene: Scene, database: Database) -> None:
    """As if the chunks were too old."""
    if isinstance(scene.core.streams, MemoryStreams):
        scene.core.streams._jobs.clear()
    with database.transaction() as connection:
        connection.execute(stream_chunks.delete())


def test_an_answer_that_breaks_off_begins_anew_and_says_so(scene: Scene) -> None:
    job_id = scene.submit({"failures": ["ambiguous"], "deltas_before_failure": 3, "delay_seconds": 0.3})
    deltas = scene.deltas(job_id)
    [number] = [number for number, delta in enumerate(deltas) if delta.restarted]
    assert {delta.attempt for delta in deltas[:number]} == {1}
    assert {delta.attempt for delta in deltas[number:]} == {2}
    assert text_of(deltas[:number]) == "Salve, müde Welt "
    assert text_of(deltas) == TEXT


def test_an_answer_that_may_not_begin_anew_fails_its_job(scene: Scene) -> None:
    sandbox = {"failures": ["ambiguous"], "deltas_before_failure": 3}
    job_id = scene.submit(sandbox, constraints={"on_cut": "fail"})
    last = scene.deltas(job_id)[-1]
    assert last.job is not None
    assert (last.job.state, last.job.attempts) == ("failed", 1)


def test_before_anything_was_told_a_failure_is_healed_as_always(scene: Scene) -> None:
    job_id = scene.submit({"failures": ["ambiguous"]}, constraints={"on_cut": "fail"})
    deltas = scene.deltas(job_id)
    assert not any(delta.restarted for delta in deltas)
    assert text_of(deltas) == TEXT
    assert deltas[-1].job is not None
    assert deltas[-1].job.attempts == 2


def test_who_leaves_neither_stops_nor_loses_the_job(scene: Scene) -> None:
    job_id = scene.submit({"delay_seconds": 0.4})
    first = next(scene.client.stream(job_id))
    assert first.text
    assert scene.client.wait(job_id, 30).text == TEXT


def test_a_job_that_is_not_streamed_leaves_no_chunks(scene: Scene, database: Database) -> None:
    job = scene.client.submit("Greet.", provider_options={"sandbox": {"text": TEXT}})
    [last] = scene.deltas(job.id)
    assert last.job is not None
    assert last.job.text == TEXT
    assert scene.worker.runtime._taps.chunks == 0


def test_an_answer_whose_values_are_put_back_is_told_as_a_whole(scene: Scene) -> None:
    asked = "Write to anna@example.com please."
    constraints = {"private_data": "redact", "restore_private_data": True}
    job = scene.client.submit(asked, stream=True, constraints=constraints)
    deltas = scene.deltas(job.id)
    assert deltas[-1].job is not None
    assert deltas[-1].job.succeeded
    assert text_of(deltas) == deltas[-1].job.text
    assert len([delta for delta in deltas if delta.text]) == 1


async def test_the_async_client_streams_too(scene: Scene) -> None:
    job_id = scene.submit()
    async with AsyncClient(scene.place.url, scene.key) as client:
        deltas = [delta async for delta in client.stream(job_id)]
    assert text_of(deltas) == TEXT
