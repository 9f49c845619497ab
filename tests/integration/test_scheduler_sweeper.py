"""The sweeper on a real store: who is rung for, whom it declares lost, and what it leaves alone."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from scheduler.sweeper import Sweeper
from synthralos.bus.memory import MemoryBus
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.jobs import Job
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.writes import Written
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job, settlement, start
from tests.fakes.stores import Store
from tests.fakes.sweeper_scene import SWEEPER_SETTINGS, Scene

SILENT = 10_000.0


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def lost_worker(store: Store) -> str:
    """A worker of another machine that has been silent for hours."""
    worker = store.worker()
    store.silence(worker, SILENT)
    return worker


def test_a_parked_job_is_rung_when_its_time_has_come(scene: Scene) -> None:
    store = scene.store
    due, later = (store.claimed(new_job(lane=lane)) for lane in Lane)
    store.settle(settlement(due, Transition.PARK, stage=Stage.EXECUTE, delay=3600))
    store.settle(settlement(later, Transition.PARK, stage=Stage.EXECUTE, delay=3600))
    store.backdate(due.id, run_at=1)
    scene.sweeper.round()
    assert scene.doorbell.rung(Stage.EXECUTE, due.lane) == [due.id]
    assert (store.state(due.id), store.state(later.id)) == ("queued", "parked")


def test_a_job_whose_deadline_passed_is_expired_told_and_analyzed(scene: Scene) -> None:
    [job_id] = scene.store.submit(new_job(deadline=datetime.now(UTC) - timedelta(seconds=5)))
    scene.sweeper.round()
    assert scene.store.state(job_id) == "expired"
    assert scene.told == [job_id]
    assert scene.doorbell.rung(Stage.ANALYZE) == [job_id]


def test_more_than_a_batch_is_moved_in_one_round(scene: Scene) -> None:
    many = [new_job(deadline=datetime.now(UTC) - timedelta(seconds=5)) for _ in range(2100)]
    scene.store.submit(*many)
    scene.sweeper.round()
    assert len(scene.doorbell.rung(Stage.ANALYZE)) == 2100


def test_a_lost_workers_job_goes_to_another_and_its_attempt_is_booked(scene: Scene) -> None:
    store = scene.store
    job = store.started(worker=lost_worker(store))
    scene.watch(20)
    assert store.state(job.id) == "queued"
    assert job.id in scene.doorbell.rung(Stage.EXECUTE)
    [attempt] = store.attempts(job.id)
    assert (attempt["outcome"], attempt["billed"]) == (Outcome.LOST, Billed.MAYBE)
    [line] = store.cost_logs(job.id)
    assert (line["billed"], line["cost_picousd"]) == (Billed.MAYBE, None)
    assert not store.settle(settlement(job))


def test_a_poison_job_is_buried_told_and_analyzed(scene: Scene) -> None:
    store = scene.store
    [job_id] = store.submit()
    for _ in range(3):
        assert store.claim([job_id], lost_worker(store)) != [] or store.state(job_id) == "failed"
        scene.watch(20)
    assert store.state(job_id) == "failed"
    assert store.job(job_id)["failure"]["provider_code"] == "poison"
    assert scene.told == [job_id]
    assert scene.doorbell.rings[-1].stage is Stage.ANALYZE


def test_a_silent_worker_is_given_time_at_the_start_of_a_lead(scene: Scene) -> None:
    worker = lost_worker(scene.store)
    job = scene.store.claimed(worker=worker)
    scene.watch(10)
    assert scene.store.state(job.id) == "active"
    scene.watch(10)
    assert scene.store.state(job.id) == "queued"


def test_after_an_outage_workers_are_given_time_to_beat(scene: Scene) -> None:
    store = scene.store
    scene.watch(30)
    worker = lost_worker(store)
    job = store.claimed(worker=worker)
    with outage(scene), pytest.raises(DatabaseFailed):
        scene.sweeper.round()
    scene.watch(10)
    assert store.state(job.id) == "active"
    assert store.processes.beat(worker) is not None
    scene.watch(30)
    assert store.state(job.id) == "active"


@contextmanager
def outage(scene: Scene) -> Iterator[None]:
    """The database answers nothing: every connection attempt is refused."""

    def refuse(*_: object) -> None:
        raise sa.exc.OperationalError("connect", {}, ConnectionRefusedError())

    engines = (scene.store.database.read, scene.store.database.write)
    for engine in engines:
        sa.event.listen(engine, "begin", refuse)
    try:
        yield
    finally:
        for engine in engines:
            sa.event.remove(engine, "begin", refuse)


@pytest.mark.parametrize("jump", [600.0, -600.0])
def test_after_a_gap_or_a_jump_of_the_clock_workers_are_given_time(scene: Scene, jump: float) -> None:
    scene.watch(30)
    job = scene.store.claimed(worker=lost_worker(scene.store))
    scene.clock.ahead += jump
    scene.watch(10)
    assert scene.store.state(job.id) == "active"


def test_a_process_that_is_gone_from_this_machine_is_lost_at_once(scene: Scene) -> None:
    store = scene.store
    done = subprocess.run(
        [sys.executable, "-c", _REGISTER, store.database.url.render_as_string(False)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    job = store.claimed(worker=done.stdout.strip())
    here = store.claimed()
    scene.sweeper.round()
    assert job.id in scene.doorbell.rung(Stage.GUARD)
    assert store.state(here.id) == "active"


_REGISTER = """
import sys
from synthralos.store.sql.database import Database
from synthralos.store.admin.processes import Processes
print(Processes(Database(sys.argv[1])).register("worker"), flush=True)
"""


def test_a_job_that_slipped_past_the_declaration_is_found_later(scene: Scene) -> None:
    """A claim that was under way while its worker was declared lost commits after the sweep."""
    store = scene.store
    scene.sweeper.round()
    worker = store.worker()
    job = store.claimed(worker=worker)
    store.lose(worker)
    scene.sweeper.round()
    assert store.state(job.id) == "active"
    scene.watch(31)
    assert store.state(job.id) == "queued"


def test_a_broken_step_does_not_keep_the_others_from_their_turn(scene: Scene) -> None:
    store = scene.store
    parked = store.claimed()
    store.settle(settlement(parked, Transition.PARK, delay=3600))
    store.backdate(parked.id, run_at=1)
    [expired] = store.submit(new_job(deadline=datetime.now(UTC) - timedelta(seconds=5)))
    boom = RuntimeError("this bell is cracked")

    class Cracked(RecordingDoorbell):
        def ring(self, stage: Stage, lane: Lane, ids: object) -> None:
            if stage is not Stage.ANALYZE:
                raise boom
            super().ring(stage, lane, ids)  # type: ignore[arg-type]

    cracked = Cracked()
    sweeper = Sweeper(store.database, cracked, MemoryBus(), SWEEPER_SETTINGS)
    with pytest.raises(RuntimeError) as raised:
        sweeper.round()
    assert raised.value is boom
    assert cracked.rung(Stage.ANALYZE) == [expired]


def test_two_sweepers_at_once_never_move_a_job_twice(store: Store) -> None:
    past = datetime.now(UTC) - timedelta(seconds=5)
    expiring = store.submit(*[new_job(deadline=past) for _ in range(400)])
    worker = store.worker()
    held = store.claim(store.submit(*[new_job() for _ in range(400)]), worker)
    started: list[Job] = [job for job in held if store.settlements.start([start(job)]) == [Written.DONE]]
    store.lose(worker)
    doorbells = [RecordingDoorbell(), RecordingDoorbell()]
    at_once = threading.Barrier(2)

    def sweep(doorbell: RecordingDoorbell) -> None:
        with closing(Database(store.database.url.render_as_string(hide_password=False))) as own:
            sweeper = Sweeper(own, doorbell, MemoryBus(), SWEEPER_SETTINGS)
            at_once.wait()
            for _ in range(3):
                sweeper.begin()
                sweeper.round()

    threads = [threading.Thread(target=sweep, args=(doorbell,)) for doorbell in doorbells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rung = Counter(job_id for doorbell in doorbells for job_id in doorbell.rung())
    assert rung == Counter([*expiring, *(job.id for job in started)])
    assert {store.job(job.id)["losses"] for job in started} == {1}
    assert [len(store.cost_logs(job.id)) for job in started] == [1] * len(started)
    assert store.open_attempts() == []
