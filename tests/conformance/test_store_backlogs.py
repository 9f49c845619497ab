"""What waits, as metrics show it: counted up to a bound, and the age of the oldest."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from synthralos.domain.ids import new_id
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.store.read.backlogs import Backlog, Backlogs
from synthralos.store.tables import export_backlog
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store

BULK = Stage.GUARD, Lane.BULK


@pytest.fixture
def read(store: Store) -> Backlogs:
    return Backlogs(store.database, ring_again_after=10.0)


def test_every_queue_has_a_figure_and_an_empty_one_is_nothing(read: Backlogs) -> None:
    assert read.queues() == {(stage, lane): Backlog(0, 0.0) for stage in Stage for lane in Lane}
    assert (read.parked(), read.exports()) == (0, {})


def test_jobs_are_counted_by_stage_and_lane_up_to_a_bound(store: Store, read: Backlogs) -> None:
    store.submit(*(new_job() for _ in range(3)))
    store.submit(*(new_job(lane=Lane.INTERACTIVE) for _ in range(2)))
    queues = read.queues()
    assert (queues[BULK].count, queues[Stage.GUARD, Lane.INTERACTIVE].count) == (3, 2)
    assert sum(backlog.count for backlog in queues.values()) == 5
    assert 0 <= queues[BULK].oldest < 60
    assert Backlogs(store.database, 10.0, most=2).queues()[BULK].count == 2


def test_the_age_is_that_of_the_job_that_waits_longest(store: Store, read: Backlogs) -> None:
    old, _ = store.submit(new_job(), new_job())
    store.backdate(old, notified_at=300)
    assert 300 <= read.queues()[BULK].oldest < 360


def test_a_job_that_is_rung_again_and_again_has_waited_all_the_time(store: Store, read: Backlogs) -> None:
    old, _ = store.submit(new_job(), new_job())
    store.update_job(old, rings=30)
    assert 300 <= read.queues()[BULK].oldest < 360


def test_parked_jobs_are_counted(store: Store, read: Backlogs) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.PARK, delay=600.0, attempt=attempt_end(1)))
    assert read.parked() == 1


def test_each_destination_has_its_backlog(store: Store, read: Backlogs) -> None:
    now = store.now()
    rows = [("far", now - timedelta(seconds=90)), ("far", now), ("near", now)]
    with store.database.transaction() as connection:
        for name, since in rows:
            connection.execute(sa.insert(export_backlog).values(destination=name, job_id=new_id(), since=since))
    found = read.exports()
    assert {name: backlog.count for name, backlog in found.items()} == {"far": 2, "near": 1}
    assert 90 <= found["far"].oldest < 150
