"""What the sweeps promise: who is due is moved once, who is lost is written off, the rest is left alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.exports import Booking
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.work_items import WorkItem
from synthralos.domain.writes import Written
from synthralos.store.exports.backlog import Backlog
from synthralos.store.sql.database import Database
from synthralos.store.tables import processes
from tests.fakes.jobs import attempt_end, deployment, failure, new_job, settlement, start
from tests.fakes.stores import Store


def parked(store: Store, ago: float, lane: Lane = Lane.BULK) -> str:
    """A job that was parked until `ago` seconds ago (negative: until then)."""
    job = store.claimed(new_job(lane=lane))
    store.settle(settlement(job, Transition.PARK, stage=Stage.EXECUTE))
    store.backdate(job.id, run_at=ago)
    return job.id


def past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=5)


def test_only_the_due_are_woken_oldest_first_and_once(store: Store) -> None:
    late, later = parked(store, 10, Lane.INTERACTIVE), parked(store, 20)
    waiting = parked(store, -60)
    assert store.sweeps.wake_due(limit=1) == [WorkItem(later, Stage.EXECUTE, Lane.BULK)]
    assert store.sweeps.wake_due() == [WorkItem(late, Stage.EXECUTE, Lane.INTERACTIVE)]
    assert store.sweeps.wake_due() == []
    assert [store.state(i) for i in (late, later, waiting)] == ["queued", "queued", "parked"]
    assert store.job(late)["run_at"] is None
    assert abs(store.job(late)["notified_at"] - store.now()) < timedelta(seconds=30)


def test_a_parked_job_that_was_cancelled_is_not_woken(store: Store) -> None:
    job_id = parked(store, 10)
    store.operations.cancel(job_id, EVERYTHING, "ann")
    assert store.sweeps.wake_due() == []


def test_whoever_waits_beyond_the_deadline_expires(store: Store) -> None:
    [queued] = store.submit(new_job(deadline=past()))
    active = store.claimed(new_job(deadline=past()))
    waiting = store.claimed(new_job(deadline=past()))
    store.settle(settlement(waiting, Transition.PARK))
    [ahead] = store.submit(new_job(deadline=datetime.now(UTC) + timedelta(hours=1)))
    [without] = store.submit()
    expired = store.sweeps.expire()
    assert {step.id for step in expired} == {queued, waiting.id}
    assert {step.stage for step in expired} == {Stage.ANALYZE}
    assert store.sweeps.expire() == []
    assert [store.state(i) for i in (active.id, ahead, without)] == ["active", "queued", "queued"]
    row = store.job(waiting.id)
    assert (row["state"], row["run_at"]) == ("expired", None)
    assert row["finished_at"] is not None


def test_those_that_nobody_came_for_are_found_by_stage_and_lane(store: Store) -> None:
    bulk, interactive, fresh = store.submit(new_job(), new_job(lane=Lane.INTERACTIVE), new_job())
    elsewhere = store.claimed()
    store.settle(settlement(elsewhere, Transition.HAND_OVER, stage=Stage.HEAL))
    held = store.claimed()
    for job_id in (bulk, interactive, elsewhere.id, held.id):
        store.backdate(job_id, notified_at=60)
    places = {(Stage.GUARD, Lane.BULK), (Stage.GUARD, Lane.INTERACTIVE), (Stage.HEAL, Lane.BULK)}
    assert set(store.sweeps.unclaimed_queues(10)) == places
    assert store.sweeps.unclaimed_jobs(Stage.GUARD, Lane.BULK, 10, 100) == [WorkItem(bulk, Stage.GUARD, Lane.BULK)]
    assert store.sweeps.unclaimed_jobs(Stage.GUARD, Lane.BULK, 10, 100) == []
    assert set(store.sweeps.unclaimed_queues(10)) == places - {(Stage.GUARD, Lane.BULK)}
    assert store.state(fresh) == "queued"


def test_the_oldest_of_those_that_nobody_came_for_go_first(store: Store) -> None:
    many = store.submit(*[new_job() for _ in range(5)])
    for job_id in many:
        store.backdate(job_id, notified_at=60)
    assert sorted(s.id for s in store.sweeps.unclaimed_jobs(Stage.GUARD, Lane.BULK, 10, 2)) == many[:2]


def test_finished_jobs_whose_trace_is_open_are_found(store: Store) -> None:
    old, fresh, closed = (store.claimed(new_job(lane=lane)) for lane in (Lane.INTERACTIVE, Lane.BULK, Lane.BULK))
    store.settle(settlement(old))
    store.settle(settlement(fresh))
    store.settle(settlement(closed, analyzed=True))
    store.backdate(old.id, finished_at=60)
    store.backdate(closed.id, finished_at=60)
    assert store.sweeps.unanalyzed(10) == [WorkItem(old.id, Stage.ANALYZE, Lane.INTERACTIVE)]


def test_what_an_exporter_still_owes_is_found(database: Database) -> None:
    store = Store(database, ["one", "two"])
    job = store.claimed()
    store.settle(settlement(job, analyzed=True))
    assert store.sweeps.backlog(60) == []
    assert store.sweeps.backlog(-60) == [WorkItem(job.id, Stage.ANALYZE, Lane.BULK)]
    backlog = Backlog(database)
    backlog.book("one", Booking(1, backlog.claim("one")))
    assert [step.id for step in store.sweeps.backlog(-60)] == [job.id]
    backlog.book("two", Booking(1, backlog.claim("two")))
    assert store.sweeps.backlog(-60) == []


def test_the_silent_are_declared_lost_and_the_others_are_not(store: Store) -> None:
    silent, beating, draining = store.worker(), store.worker(), store.worker()
    store.processes.mark(draining, "draining")
    store.silence(silent, 60)
    store.silence(draining, 60)
    assert set(store.sweeps.declare_silent(store.now() - timedelta(seconds=30))) == {silent, draining}
    assert store.sweeps.declare_silent(store.now() - timedelta(seconds=30)) == []
    assert store.processes.beat(silent) is None
    assert store.processes.beat(beating) is not None


def test_a_process_of_another_machine_is_never_judged_by_its_pid(store: Store) -> None:
    elsewhere = store.worker()
    store.update(processes, processes.c.id == elsewhere, boot="elsewhere", pid=2**22 + 1)
    assert store.sweeps.declare_gone() == []


def test_a_process_that_is_gone_from_here_is_declared_lost(store: Store) -> None:
    gone, here = store.worker(), store.worker()
    store.update(processes, processes.c.id == gone, pid=2**22 + 1)
    assert store.sweeps.declare_gone() == [gone]
    assert [row.id for row in store.processes.living()] == [here]


def test_the_jobs_of_the_dead_are_freed_and_their_attempts_written_off(store: Store) -> None:
    worker, alive = store.worker(), store.worker()
    calling, claimed, other = store.started(worker=worker), store.claimed(worker=worker), store.started(worker=alive)
    store.lose(worker)
    freed = store.sweeps.rescue()
    assert {(step.id, step.stage) for step in freed} == {(calling.id, Stage.EXECUTE), (claimed.id, Stage.GUARD)}
    assert store.sweeps.rescue() == []
    row = store.job(calling.id)
    assert (row["state"], row["losses"], row["worker_id"], row["attempts"]) == ("queued", 1, None, 1)
    [attempt] = store.attempts(calling.id)
    assert (attempt["outcome"], attempt["billed"], attempt["cost_picousd"]) == (Outcome.LOST, Billed.MAYBE, None)
    assert attempt["ended_at"] is not None
    [line] = store.cost_logs(calling.id)
    assert (line["billed"], line["cost_picousd"], line["organization"]) == (Billed.MAYBE, None, "acme")
    assert (line["deployment"], line["trace_id"]) == (deployment().id, calling.trace_id)
    view = store.view(calling.id)
    assert (view["cost"], view["cost_known"], view["maybe_billed"]) == (Decimal(0), False, 1)
    assert [(event["kind"], event["actor"]) for event in store.events(calling.id)] == [("lost", "sweeper")]
    assert (store.state(other.id), store.attempts(other.id)[0]["outcome"]) == ("active", Outcome.OPEN)


@pytest.mark.parametrize("how", ["stopped", "forgotten"])
def test_a_worker_that_ended_or_that_nobody_knows_is_dead_too(store: Store, how: str) -> None:
    worker = store.worker()
    job = store.started(worker=worker)
    if how == "stopped":
        store.processes.mark(worker, "stopped")
    else:
        with store.database.transaction() as connection:
            connection.execute(processes.delete().where(processes.c.id == worker))
    assert [step.id for step in store.sweeps.rescue()] == [job.id]


def test_many_are_freed_in_bounded_batches(store: Store) -> None:
    worker = store.worker()
    many = store.claim(store.submit(*[new_job() for _ in range(25)]), worker)
    store.settlements.start([start(job) for job in many])
    store.lose(worker)
    sizes = [len(store.sweeps.rescue(limit=10)) for _ in range(4)]
    assert sizes == [10, 10, 5, 0]
    assert store.open_attempts() == []


def test_a_freed_job_is_done_by_another_and_both_attempts_are_on_the_books(store: Store) -> None:
    job = store.started()
    store.lose(job.claim.worker_id)
    store.sweeps.rescue()
    [again] = store.claim([job.id], stage=Stage.EXECUTE)
    assert store.settlements.start([start(again)]) == [Written.DONE]
    store.settle(settlement(again, attempt=attempt_end(2)))
    assert [a["outcome"] for a in store.attempts(job.id)] == [Outcome.LOST, Outcome.SUCCEEDED]
    view = store.view(job.id)
    assert (view["cost"], view["cost_known"], view["maybe_billed"]) == (Decimal("0.0004425"), False, 1)


def test_a_job_that_takes_too_many_workers_down_is_buried(store: Store) -> None:
    [job_id] = store.submit()
    neighbor = store.claimed()
    for losses in (1, 2, 3):
        worker = store.worker()
        assert store.claim([job_id], worker)
        store.lose(worker)
        [step] = store.sweeps.rescue()
        assert store.job(job_id)["losses"] == losses
        assert step.stage is (Stage.ANALYZE if losses == 3 else Stage.GUARD)
    row = store.job(job_id)
    assert (row["state"], row["failure"]["class"], row["failure"]["provider_code"]) == ("failed", "internal", "poison")
    assert row["finished_at"] is not None
    assert [event["kind"] for event in store.events(job_id)] == ["lost", "lost", "buried"]
    assert store.state(neighbor.id) == "active"


def test_of_several_that_went_down_together_too_often_none_is_buried_until_one_is_alone(store: Store) -> None:
    poison, neighbor = store.submit(new_job(), new_job())
    for _ in range(3):
        worker = store.worker()
        assert len(store.claim([poison, neighbor], worker)) == 2
        store.lose(worker)
        store.sweeps.rescue()
        assert {store.state(poison), store.state(neighbor)} <= {"queued", "parked"}
        for job_id in (poison, neighbor):
            if store.state(job_id) == "parked":
                store.backdate(job_id, run_at=1)
        store.sweeps.wake_due()
    store.settle(settlement(store.claim([neighbor])[0]))
    worker = store.worker()
    assert store.claim([poison], worker)
    store.lose(worker)
    store.sweeps.rescue()
    assert (store.state(poison), store.state(neighbor)) == ("failed", "succeeded")


def test_a_job_that_is_lost_keeps_the_failure_it_had(store: Store) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.CONTINUE, stage=Stage.HEAL, failure=failure().to_json()))
    store.lose(job.claim.worker_id)
    [step] = store.sweeps.rescue()
    assert step.stage is Stage.HEAL
    assert store.job(job.id)["failure"] == failure().to_json()


def test_a_sweep_leaves_alone_what_another_transaction_holds(postgres_database: str) -> None:
    from migrations.runner import upgrade

    database = Database(postgres_database)
    upgrade(database)
    store = Store(database)
    held, free = parked(store, 20), parked(store, 10)
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT 1 FROM open_jobs WHERE id = %s FOR UPDATE", (held,))
        assert [step.id for step in store.sweeps.wake_due()] == [free]
    assert [step.id for step in store.sweeps.wake_due()] == [held]
    database.close()


def test_the_clock_is_aware_and_moves_on(store: Store) -> None:
    first = store.sweeps.clock()
    assert first.utcoffset() == timedelta(0)
    assert first <= store.sweeps.clock()
