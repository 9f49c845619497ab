"""Deltas from a worker to a reader, over the API: while the job runs, after a break, and long after its end."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from synthralos.bus.postgres import PostgresBus
from synthralos.core import Core
from synthralos.domain import deltas as told
from synthralos.domain.states import Stage, State
from synthralos.store.read.whole import LARGE
from synthralos.store.sql.database import Database
from synthralos.store.tables import results, stream_chunks
from synthralos.streams.memory import MemoryStreams
from synthralos.streams.postgres import PostgresStreams
from synthralos.streams.protocol import Streams, StreamsAwayError
from synthralos.streams.redis import RedisStreams
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
    """A worker and an API, and a client. Beside one another in one process, or each with streams of its own."""

    def __init__(self, database: Database, stack: ExitStack, build: Callable[[Core], Streams] | None) -> None:
        self._stack, self._build = stack, build
        self.workers = WorkerPlace(Store(database), stack)
        self.apart = build is not None
        api_core = self.core_with_streams() if self.apart else None
        self.core = self.core_with_streams()
        self.worker = self.workers.start(self.core)
        self.place: Place = stack.enter_context(api_over(api_core or self.core))
        self.http = self.place.client()
        self.key = self.http.headers["Authorization"].removeprefix("Bearer ")
        self.client = stack.enter_context(Client(self.place.url, self.key))

    def core_with_streams(self) -> Core:
        """A core; where the scene is many processes, with streams as one of them has."""
        core = self.workers.core(worker_threads=2)
        if self._build is not None:
            object.__setattr__(core, "streams", self._build(core))
        self._stack.callback(core.streams.close)
        return core

    def submit(self, sandbox: dict[str, Any] | None = None, **fields: Any) -> str:
        options = {"text": TEXT, **(sandbox or {})}
        return self.send("Greet.", stream=True, provider_options={"sandbox": options}, **fields)

    def send(self, prompt: str, **fields: Any) -> str:
        job_id = self.client.submit(prompt, **fields).id
        if self.apart:  # each has a broker of its own
            self.workers.ring(Stage.GUARD, job_id)
        return job_id

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


def _postgres_streams(core: Core) -> Streams:
    assert isinstance(core.bus, PostgresBus)
    return PostgresStreams(core.database, core.bus)


@pytest.fixture(params=["memory", "postgresql", "redis"])
def scene(
    request: pytest.FixtureRequest, redis_server_url: str, redis_prefix: str, _migrated_postgres: Database
) -> Iterator[Scene]:
    """Each kind of streams; memory on PostgreSQL, too, which is what the embedded system has there."""
    builds: dict[str, Callable[[Core], Streams] | None] = {
        "memory": None,
        "postgresql": _postgres_streams,
        "redis": lambda core: RedisStreams(redis_server_url, f"{redis_prefix}:streams:"),
    }
    with ExitStack() as stack:
        yield Scene(_migrated_postgres, stack, builds[request.param])


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
        attempts = {e.id.partition("@")[0] for e in every[number + 1 :] if e.event == "attempt"}
        assert attempts <= {e.id.partition("@")[0] for e in later}


def test_long_after_its_end_the_rest_comes_from_the_result(scene: Scene, redis_server_url: str) -> None:
    job_id = scene.submit({"delay_seconds": 0.3})
    every = scene.deltas(job_id)
    forget(scene, job_id, redis_server_url)
    for place, delta in enumerate(every[:-1]):
        before = text_of(every[: place + 1])
        assert before + text_of(scene.deltas(job_id, last_event_id=delta.id)) == TEXT
    assert text_of(scene.deltas(job_id)) == TEXT


def forget(scene: Scene, job_id: str, redis_server_url: str) -> None:
    """As if the chunks were too old."""
    streams = scene.core.streams
    assert streams.after({job_id: told.Place()})[job_id]
    if isinstance(streams, MemoryStreams):
        streams._jobs.clear()
    elif isinstance(streams, RedisStreams):
        with redis.Redis.from_url(redis_server_url) as client:
            client.delete(f"{streams._prefix}chunks:{job_id}")
    else:
        with scene.core.database.transaction() as connection:
            connection.execute(stream_chunks.delete())
    assert not streams.after({job_id: told.Place()})[job_id]


def test_a_large_result_is_told_to_its_end_and_comes_whole_with_the_last_entry(scene: Scene) -> None:
    job_id = scene.submit()
    assert text_of(scene.deltas(job_id)) == TEXT
    large = TEXT * (LARGE // len(TEXT))
    result = {**scene.workers.store.job(job_id)["result"], "text": large}
    scene.workers.store.update(results, results.c.job_id == job_id, result=result)
    *rest, last = scene.deltas(job_id)
    assert text_of(rest) == large
    assert last.job is not None
    assert last.job.text == large


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


def test_an_api_that_goes_leaves_its_readers_to_another_one(scene: Scene) -> None:
    job_id = scene.submit({"delay_seconds": 1.0})
    found = scene.client.stream(job_id)
    begun = [next(found)]
    other_core = scene.core_with_streams() if scene.apart else scene.core
    with api_over(other_core) as other, Client(other.url, scene.key) as client:
        rest = list(client.stream(job_id, last_event_id=begun[-1].id))
    assert not any(delta.restarted for delta in rest)
    assert text_of([*begun, *rest]) == TEXT


def test_streams_that_are_away_cost_nothing_but_the_early_words(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise StreamsAwayError("nobody answers")

    job_id = scene.submit({"delay_seconds": 0.5})
    found = scene.client.stream(job_id)
    first = next(found)
    for streams in {id(s): s for s in (scene.core.streams, scene.place.core.streams)}.values():
        monkeypatch.setattr(streams, "append", away)
        monkeypatch.setattr(streams, "after", away)
    scene.worker.runtime._taps._append = away
    rest = list(found)
    assert text_of([first, *rest]) == TEXT
    assert rest[-1].job is not None
    assert rest[-1].job.succeeded
    assert rest[-1].job.attempts == 1


def test_a_job_that_is_not_streamed_leaves_no_chunks(scene: Scene) -> None:
    job_id = scene.send("Greet.", provider_options={"sandbox": {"text": TEXT}})
    [last] = scene.deltas(job_id)
    assert last.job is not None
    assert last.job.text == TEXT
    assert scene.worker.runtime._taps.chunks == 0


def test_an_answer_whose_values_are_put_back_is_told_as_a_whole(scene: Scene) -> None:
    asked = "Write to anna@example.com please."
    constraints = {"private_data": "redact", "restore_private_data": True}
    deltas = scene.deltas(scene.send(asked, stream=True, constraints=constraints))
    assert deltas[-1].job is not None
    assert deltas[-1].job.succeeded
    assert text_of(deltas) == deltas[-1].job.text
    assert len([delta for delta in deltas if delta.text]) == 1


def test_the_async_client_streams_too(scene: Scene) -> None:
    job_id = scene.submit()

    async def streamed() -> list[Delta]:
        async with AsyncClient(scene.place.url, scene.key) as client:
            return [delta async for delta in client.stream(job_id)]

    assert text_of(asyncio.run(streamed())) == TEXT
