"""Interactive jobs reach a worker by way of the database alone; where that fails, the broker brings them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing

import httpx
import pytest

from synthralos.control.ring_channels import channel_of, encode_ring
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.states import Lane, Stage, State
from synthralos.store.sql.database import Database
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.integration.api_place import JOBS, NEVER, Place, api_over, core_over, submitted
from tests.integration.worker_place import WorkerPlace, worker_place
from workers.embedded import EmbeddedWorker

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def workers(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def worker(workers: WorkerPlace, redis_server_url: str, redis_prefix: str) -> EmbeddedWorker:
    """A worker with a broker that nobody rings."""
    return workers.worker(broker_url=redis_server_url, broker_namespace=redis_prefix)


@pytest.fixture
def place(database: Database, worker: EmbeddedWorker) -> Iterator[Place]:
    """An API whose broker leads nowhere, and which knows the worker."""
    with reaching_nobody(database) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def test_an_interactive_job_is_done_though_no_broker_carries_its_ring(
    place: Place, client: httpx.Client, workers: WorkerPlace
) -> None:
    job_id = submitted(client)
    assert workers.finished(job_id) == [State.SUCCEEDED]


def test_a_crowd_is_done_and_not_rung_for_twice(place: Place, client: httpx.Client, workers: WorkerPlace) -> None:
    job_ids = [submitted(client) for _ in range(50)]
    assert workers.finished(*job_ids) == [State.SUCCEEDED] * 50
    assert [len(workers.store.attempts(job_id)) for job_id in job_ids] == [1] * 50


def test_bulk_goes_over_the_broker(place: Place, client: httpx.Client) -> None:
    receipts = client.post(JOBS, json=[{"prompt": "a"}, {"prompt": "b"}]).json()["jobs"]
    assert place.doorbell.rung(Stage.GUARD, Lane.BULK) == [receipt["id"] for receipt in receipts]


def test_where_no_worker_lives_the_broker_is_rung_at_once(database: Database) -> None:
    with reaching_nobody(database) as place:
        job_id = submitted(place.client(Role.SERVICE))
        assert place.doorbell.rung(Stage.GUARD, Lane.INTERACTIVE) == [job_id]


def test_what_a_worker_does_not_come_for_is_rung_over_the_broker(database: Database, store: Store) -> None:
    store.processes.register("worker", [Stage.GUARD])
    with reaching_nobody(database) as place:
        job_id = submitted(place.client(Role.SERVICE))
        assert place.doorbell.wait_for(job_id, Stage.GUARD)


def test_what_is_still_watched_when_the_api_stops_is_rung_over_the_broker(database: Database, store: Store) -> None:
    store.processes.register("worker", [Stage.GUARD])
    with reaching_nobody(database) as place:
        watching = place.server.room.announcer._second_way
        assert watching is not None
        watching._patience = NEVER
        job_id = submitted(place.client(Role.SERVICE))
        doorbell = place.doorbell
        assert doorbell.rung() == []
    assert doorbell.rung(Stage.GUARD) == [job_id]


def test_a_worker_that_stops_passes_on_what_still_comes(
    workers: WorkerPlace, worker: EmbeddedWorker, database: Database
) -> None:
    inbox = worker.runtime._inbox
    assert inbox is not None
    bell = RecordingDoorbell()
    inbox._pass_on = bell.ring
    inbox.stop()
    [job_id] = workers.store.submit(new_job(lane=Lane.INTERACTIVE))
    say(database, channel_of(worker.runtime.heartbeat.process_id), encode_ring(Stage.GUARD, Lane.INTERACTIVE, [job_id]))
    assert bell.wait_for(job_id, Stage.GUARD)


def test_nonsense_on_the_channel_is_dropped_and_the_worker_goes_on(
    workers: WorkerPlace, worker: EmbeddedWorker, database: Database
) -> None:
    channel = channel_of(worker.runtime.heartbeat.process_id)
    [job_id] = workers.store.submit(new_job(lane=Lane.INTERACTIVE))
    wanted = encode_ring(Stage.GUARD, Lane.INTERACTIVE, [new_id(), job_id])
    for payload in ("", "teleport.bulk,x", "guard", "guard.bulk,nobody", wanted):
        say(database, channel, payload)
    assert workers.finished(job_id) == [State.SUCCEEDED]


def test_a_worker_that_was_declared_lost_is_rung_under_its_new_name(
    workers: WorkerPlace, worker: EmbeddedWorker, database: Database
) -> None:
    heartbeat = worker.runtime.heartbeat
    before = heartbeat.process_id
    workers.store.processes.mark(before, "stopped")
    heartbeat._beat()
    assert heartbeat.process_id != before
    inbox = worker.runtime._inbox
    assert inbox is not None
    assert inbox._line.ready(30)
    [job_id] = workers.store.submit(new_job(lane=Lane.INTERACTIVE))
    say(database, channel_of(heartbeat.process_id), encode_ring(Stage.GUARD, Lane.INTERACTIVE, [job_id]))
    assert workers.finished(job_id) == [State.SUCCEEDED]


def reaching_nobody(database: Database) -> AbstractContextManager[Place]:
    """An API that has a broker (or it would be an embedded system), which leads nowhere but on record."""
    return api_over(core_over(database, broker_url="redis://127.0.0.1:1/0", worker_lost_after=3600))


def say(database: Database, channel: str, payload: str) -> None:
    with closing(database.connect("-test")) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))
