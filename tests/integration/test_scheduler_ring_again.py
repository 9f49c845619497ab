"""Whom the sweeper rings for again: jobs that nobody came for, also where a lane is always busy."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scheduler.sweeper import OVERDUE_AFTER, OVERDUE_EVERY, OVERDUE_LIMIT, RING_AGAIN_LIMIT
from synthralos.domain.states import Lane, Stage
from synthralos.store.tables import open_jobs
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store
from tests.fakes.sweeper_scene import Scene


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def test_a_job_that_nobody_came_for_is_rung_again(scene: Scene) -> None:
    [old] = scene.store.submit()
    [fresh] = scene.store.submit()
    scene.store.backdate(old, notified_at=60)
    scene.sweeper.round()
    assert scene.doorbell.rung() == [old]
    assert fresh not in scene.doorbell.rung()


def test_a_job_that_was_rung_again_is_left_alone_for_a_while(scene: Scene) -> None:
    [old] = scene.store.submit()
    scene.store.backdate(old, notified_at=60)
    scene.watch(5)
    assert scene.doorbell.rung() == [old]


@pytest.mark.parametrize("depth", [4, 1000, None])
def test_a_deep_or_unreachable_queue_is_not_rung_again(scene: Scene, depth: int | None) -> None:
    [bulk] = scene.store.submit(new_job(lane=Lane.BULK))
    [interactive] = scene.store.submit(new_job(lane=Lane.INTERACTIVE))
    scene.store.backdate(bulk, notified_at=60)
    scene.store.backdate(interactive, notified_at=60)
    scene.doorbell.depths[Stage.GUARD, Lane.BULK] = depth
    scene.sweeper.round()
    assert scene.doorbell.rung() == [interactive]
    scene.doorbell.depths[Stage.GUARD, Lane.BULK] = 0
    scene.sweeper.begin()
    scene.sweeper.round()
    assert scene.doorbell.rung() == [interactive, bulk]


def test_one_round_rings_again_for_a_bounded_number_of_jobs(scene: Scene) -> None:
    many = scene.store.submit(*[new_job() for _ in range(RING_AGAIN_LIMIT + 10)])
    with scene.store.database.transaction() as connection:
        connection.execute(sa.update(open_jobs).values(notified_at=scene.store.now() - timedelta(seconds=60)))
    scene.sweeper.round()
    assert len(scene.doorbell.rung()) == RING_AGAIN_LIMIT
    assert set(scene.doorbell.rung()) < set(many)


def test_a_lane_that_is_always_busy_does_not_hide_a_lost_ring_for_ever(scene: Scene) -> None:
    [lost], [waiting] = scene.store.submit(), scene.store.submit()
    scene.doorbell.depths[Stage.GUARD, Lane.BULK] = 1000
    scene.store.backdate(lost, notified_at=OVERDUE_AFTER + 1)
    scene.store.backdate(waiting, notified_at=OVERDUE_AFTER / 2)
    scene.watch(2 * OVERDUE_EVERY)
    assert scene.doorbell.rung() == [lost]


def test_a_broker_that_cannot_be_asked_is_not_rung_for_overdue_jobs(scene: Scene) -> None:
    [lost] = scene.store.submit()
    scene.doorbell.depths[Stage.GUARD, Lane.BULK] = None
    scene.store.backdate(lost, notified_at=OVERDUE_AFTER + 1)
    scene.watch(2 * OVERDUE_EVERY)
    assert scene.doorbell.rung() == []


def test_overdue_jobs_of_a_backlog_are_rung_a_few_at_a_time_and_each_once(scene: Scene) -> None:
    many = scene.store.submit(*[new_job() for _ in range(OVERDUE_LIMIT + 10)])
    scene.doorbell.depths[Stage.GUARD, Lane.BULK] = 1000
    with scene.store.database.transaction() as connection:
        long_ago = scene.store.now() - timedelta(seconds=OVERDUE_AFTER + 1)
        connection.execute(sa.update(open_jobs).values(notified_at=long_ago))
    scene.watch(OVERDUE_EVERY / 2)
    assert len(scene.doorbell.rung()) == OVERDUE_LIMIT
    scene.watch(2 * OVERDUE_EVERY)
    assert sorted(scene.doorbell.rung()) == sorted(many)


def test_a_trace_that_waits_to_be_closed_is_not_hidden_by_a_busy_analyze_queue(scene: Scene) -> None:
    overdue, waiting = scene.store.claimed(), scene.store.claimed()
    for job, ago in ((overdue, OVERDUE_AFTER + 1), (waiting, OVERDUE_AFTER / 2)):
        scene.store.settle(settlement(job))
        scene.store.backdate(job.id, finished_at=ago)
    scene.doorbell.depths[Stage.ANALYZE, Lane.BULK] = 1000
    scene.watch(OVERDUE_EVERY / 2)
    assert scene.doorbell.rung(Stage.ANALYZE) == [overdue.id]


def test_a_finished_job_whose_trace_nobody_closed_is_rung_for(scene: Scene) -> None:
    job = scene.store.claimed()
    scene.store.settle(settlement(job))
    scene.store.backdate(job.id, finished_at=60)
    scene.sweeper.round()
    assert scene.doorbell.rung(Stage.ANALYZE) == [job.id]
