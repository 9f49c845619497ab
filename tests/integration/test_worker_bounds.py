"""How many calls a worker makes at once, how they are cut, and what a worker that stops leaves to others."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from threading import Thread

import pytest

from synthralos.bus.protocol import Topic
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.jobs import Constraints
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Lane, Stage, State
from synthralos.store.queue.operations import Changed
from synthralos.store.tables import processes
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, everybody_left, somebody_left, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


class Fake:
    """The server in one test: calls are counted from its beginning, and none hangs after its end."""

    def __init__(self, server: FakeOpenAIProcess) -> None:
        self.server = server
        self.base_url = server.base_url
        self._before = len(server.bill())

    def wait_for_calls(self, calls: int) -> None:
        """Return when that many calls of this test have arrived."""
        self.server.wait_for_calls(self._before + calls)

    def calls(self) -> int:
        """The calls of this test so far."""
        return len(self.server.bill()) - self._before


@pytest.fixture
def fake(server: FakeOpenAIProcess) -> Iterator[Fake]:
    server.reset()
    yield Fake(server)
    server.reset()
    server.release()


def test_no_more_bulk_calls_are_in_flight_than_they_have_slots(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(delay=0.02)
    worker = place.worker(deployments_at(fake.base_url, "a"), flight_slots=3)
    job_ids = place.submit(*[new_job() for _ in range(12)])
    assert set(place.finished(*job_ids)) == {State.SUCCEEDED}
    assert (fake.server.peak(), fake.calls()) == (2, 12)
    everybody_left(worker)


def test_no_more_calls_are_in_flight_than_a_deployment_takes(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(delay=0.02)
    worker = place.worker(deployments_at(fake.base_url, "a", max_in_flight=1), deployment_wait=60)
    job_ids = place.submit(*[new_job() for _ in range(8)])
    assert set(place.finished(*job_ids)) == {State.SUCCEEDED}
    assert (fake.server.peak(), fake.calls()) == (1, 8)
    everybody_left(worker)


def test_a_job_whose_deadline_passes_while_it_waits_for_its_deployment_expires(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    place.worker(deployments_at(fake.base_url, "a", max_in_flight=1), deployment_wait=60)
    [first] = place.submit()
    fake.wait_for_calls(1)
    [second] = place.submit(new_job(deadline=place.store.now() + timedelta(seconds=1)))
    assert place.finished(second) == [State.EXPIRED]
    assert place.store.attempts(second) == []
    assert place.store.state(first) == State.ACTIVE
    fake.server.release()
    assert place.finished(first) == [State.SUCCEEDED]


def test_an_interactive_job_is_done_while_bulk_jobs_have_taken_all_their_slots(place: WorkerPlace, fake: Fake) -> None:
    """Also while more of them wait in the worker's threads."""
    fake.server.behave("a", hang=True)
    worker = place.worker(deployments_at(fake.base_url, "a", "b"), flight_slots=4, worker_threads=4)
    hanging = [place.submit(new_job())[0] for _ in range(3)]
    fake.wait_for_calls(3)
    waiting = [place.submit(new_job())[0] for _ in range(8)]
    [person] = place.submit(new_job(lane=Lane.INTERACTIVE, model="fake/b"), lane=Lane.INTERACTIVE)
    assert place.finished(person) == [State.SUCCEEDED]
    assert {place.store.state(job_id) for job_id in hanging} == {State.ACTIVE}
    assert {place.store.state(job_id) for job_id in waiting} == {State.QUEUED}
    fake.server.release()
    assert worker.runtime.slots.used <= 4


def test_a_job_whose_deployment_is_full_goes_on_with_the_plan_and_then_is_parked(
    place: WorkerPlace, fake: Fake
) -> None:
    fake.server.behave(hang=True)
    place.worker(deployments_at(fake.base_url, "a", "b", max_in_flight=1), deployment_wait=0.001)
    [first] = place.submit(new_job())
    fake.wait_for_calls(1)
    [second] = place.submit(new_job())
    fake.wait_for_calls(2)
    [third] = place.submit(new_job())
    place.reaches(third, State.PARKED)
    assert place.store.attempts(third) == []
    assert [place.store.attempts(job_id)[0]["deployment"] for job_id in (first, second)] == ["fake/a@us", "fake/b@us"]
    fake.server.reset()
    fake.server.release()
    assert set(place.finished(first, second)) == {State.SUCCEEDED}
    place.wake(third)
    assert place.finished(third) == [State.SUCCEEDED]


def test_a_full_deployment_holds_up_no_job_of_another(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave("a", hang=True)
    place.worker(deployments_at(fake.base_url, "a", "b", max_in_flight=1), flight_slots=10, deployment_wait=0.001)
    crowd = place.submit(*[new_job(model="fake/a") for _ in range(9)])
    fake.wait_for_calls(1)
    [other] = place.submit(new_job(model="fake/b"))
    assert place.finished(other) == [State.SUCCEEDED]
    assert State.ACTIVE in {place.store.state(job_id) for job_id in crowd}


def cancel(place: WorkerPlace, job_id: str) -> None:
    """As the API does it."""
    done = place.store.operations.cancel(job_id, EVERYTHING, "ann")
    assert isinstance(done, Changed)
    place.bus.publish(Topic.FINISHED, [job_id])
    place.bus.publish(Topic.CLAIM_REVOKED, [job_id])


def test_a_cancel_cuts_the_call_and_frees_its_slot(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    worker = place.worker(deployments_at(fake.base_url, "a"), flight_slots=1)
    [job_id] = place.submit()
    fake.wait_for_calls(1)
    cancel(place, job_id)
    everybody_left(worker)
    assert place.store.state(job_id) == State.CANCELLED
    [attempt] = place.store.attempts(job_id)
    assert (attempt["outcome"], attempt["billed"], attempt["late"]) == (Outcome.CANCELLED, Billed.MAYBE, True)
    [line] = place.store.cost_logs(job_id)
    assert line["cost_picousd"] is None


def test_a_cancel_cuts_no_other_call(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    worker = place.worker(deployments_at(fake.base_url, "a"), flight_slots=3)
    cancelled, other = place.submit(new_job(), new_job())
    fake.wait_for_calls(2)
    cancel(place, cancelled)
    somebody_left(worker)
    assert place.store.state(other) == State.ACTIVE
    fake.server.release()
    assert place.finished(other) == [State.SUCCEEDED]
    assert len(place.store.attempts(other)) == 1


def test_a_job_that_is_cancelled_while_it_waits_for_its_deployment_is_never_called(
    place: WorkerPlace, fake: Fake
) -> None:
    fake.server.behave(hang=True)
    worker = place.worker(deployments_at(fake.base_url, "a", max_in_flight=1), flight_slots=3, deployment_wait=60)
    [first] = place.submit()
    fake.wait_for_calls(1)
    [second] = place.submit()
    place.heard.until(lambda: len(worker.runtime.registry.under_way()) == 2)
    cancel(place, second)
    somebody_left(worker)
    fake.server.release()
    assert place.finished(first) == [State.SUCCEEDED]
    everybody_left(worker)
    assert (fake.calls(), place.store.attempts(second)) == (1, [])


def test_a_worker_that_stops_gives_back_what_is_under_way_and_another_finishes_it(
    place: WorkerPlace, fake: Fake
) -> None:
    fake.server.behave(hang=True)
    catalog = deployments_at(fake.base_url, "a", max_in_flight=2)
    worker = place.worker(catalog, drain_timeout=0.01, deployment_wait=60)
    job_ids = place.submit(*[new_job() for _ in range(5)])
    fake.wait_for_calls(2)
    fake.server.reset()
    place.stop(worker)
    released = [place.store.job(job_id) for job_id in job_ids]
    assert {(job["state"], job["worker_id"], job["losses"]) for job in released} == {(State.QUEUED, None, 0)}
    assert sorted(job["stage"] for job in released) == [Stage.EXECUTE] * 2 + [Stage.GUARD] * 3
    assert {row["state"] for row in place.store.rows(processes)} == {"stopped"}
    place.worker(catalog)
    place.ring(Stage.EXECUTE, *job_ids)
    place.ring(Stage.GUARD, *job_ids)
    assert set(place.finished(*job_ids)) == {State.SUCCEEDED}
    ends = sorted(row["outcome"] for job_id in job_ids for row in place.store.attempts(job_id))
    assert ends == [Outcome.CANCELLED] * 2 + [Outcome.SUCCEEDED] * 5


def test_a_call_that_a_stopping_worker_cut_does_not_count_against_the_job(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    catalog = deployments_at(fake.base_url, "a", "b")
    worker = place.worker(catalog, drain_timeout=0.01)
    [job_id] = place.submit(new_job(constraints=Constraints(max_attempts=2)))
    fake.wait_for_calls(1)
    fake.server.reset()
    fake.server.behave("a", status=429)
    place.stop(worker)
    place.worker(catalog)
    place.ring(Stage.EXECUTE, job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    ends = [row["outcome"] for row in place.store.attempts(job_id)]
    assert ends == [Outcome.CANCELLED, Outcome.FAILED, Outcome.SUCCEEDED]


def test_a_worker_that_stops_within_its_time_finishes_what_is_under_way(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(delay=0.2)
    worker = place.worker(deployments_at(fake.base_url, "a"), drain_timeout=60)
    [job_id] = place.submit()
    fake.wait_for_calls(1)
    place.stop(worker)
    assert place.store.state(job_id) == State.SUCCEEDED


def test_what_is_cancelled_after_a_worker_has_stopped_troubles_nobody(place: WorkerPlace, fake: Fake) -> None:
    place.stop(place.worker(deployments_at(fake.base_url, "a")))
    [job_id] = place.store.submit()
    cancel(place, job_id)
    assert place.store.state(job_id) == State.CANCELLED


def test_what_waits_for_a_slot_when_the_worker_stops_is_rung_for_others(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    doorbell = RecordingDoorbell()
    core = place.core(deployments_at(fake.base_url, "a"), flight_slots=1)
    worker = place.start(dataclasses.replace(core, doorbell=doorbell))
    running, waiting = place.store.submit(new_job(), new_job())
    worker.runtime.handle(Stage.GUARD, [running])
    fake.wait_for_calls(1)
    message = Thread(target=worker.runtime.handle, args=(Stage.GUARD, [waiting]))
    message.start()
    worker.runtime.stop_taking()
    message.join()
    fake.server.release()
    place.stop(worker)
    assert [(ring.stage, ring.ids) for ring in doorbell.rings if ring.stage is Stage.GUARD] == [
        (Stage.GUARD, (waiting,))
    ]
    assert (place.store.state(running), place.store.state(waiting)) == (State.SUCCEEDED, State.QUEUED)


def test_a_message_that_finds_no_slot_in_time_goes_back_to_the_broker(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    doorbell = RecordingDoorbell()
    core = place.core(deployments_at(fake.base_url, "a"), flight_slots=1, slot_timeout=0.001)
    worker = place.start(dataclasses.replace(core, doorbell=doorbell))
    seated, waiting = place.store.submit(new_job(), new_job())
    worker.runtime.handle(Stage.GUARD, [seated], doubtful=False, lane=Lane.BULK)
    fake.wait_for_calls(1)
    worker.runtime.handle(Stage.GUARD, [waiting], doubtful=False, lane=Lane.BULK)
    assert [(ring.stage, ring.lane, ring.ids) for ring in doorbell.rings] == [(Stage.GUARD, Lane.BULK, (waiting,))]
    assert place.store.state(waiting) == State.QUEUED


def test_large_requests_are_bounded_by_their_bytes(place: WorkerPlace, fake: Fake) -> None:
    fake.server.behave(hang=True)
    worker = place.worker(deployments_at(fake.base_url, "a"), flight_bytes=2_000_000, worker_threads=8)
    first = place.submit(*[new_job("x" * 300_000) for _ in range(4)])
    fake.wait_for_calls(4)
    assert worker.runtime.slots.bytes_used >= 4 * 300_000
    others = place.submit(*[new_job("x" * 300_000) for _ in range(20)])
    assert worker.runtime.slots.acquire(Lane.BULK, 3, 0.0) is None
    fake.server.behave()
    fake.server.release()
    assert set(place.finished(*first, *others)) == {State.SUCCEEDED}
    everybody_left(worker)
