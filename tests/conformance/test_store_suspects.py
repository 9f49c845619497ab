"""What the sweeps promise of jobs that were lost with their workers too often: judged together, called again soon."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from migrations.runner import upgrade
from synthralos.domain.states import Transition
from synthralos.store.sql.database import Database
from synthralos.store.tables import open_jobs
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store

MAX_LOSSES = 3

SOON = timedelta(seconds=12.5)


def lost_again(store: Store, job_ids: Sequence[str], losses: int = MAX_LOSSES - 1) -> None:
    """The jobs were lost so many times before, and now their worker is lost with all of them."""
    with store.database.transaction() as connection:
        connection.execute(sa.update(open_jobs).values(losses=losses, state="queued", run_at=None))
    worker = store.worker()
    assert len(store.claim(job_ids, worker)) == len(job_ids)
    store.lose(worker)


def test_of_more_suspects_than_a_batch_none_is_buried_at_its_edge(store: Store) -> None:
    many = store.submit(*[new_job() for _ in range(11)])
    lost_again(store, many)
    while store.sweeps.rescue(limit=10):
        pass
    assert {store.state(job_id) for job_id in many} == {"parked"}


def test_a_suspect_that_somebody_has_locked_is_waited_for(migrated_postgres_database: str) -> None:
    database = Database(migrated_postgres_database)
    upgrade(database)
    store = Store(database)
    two = store.submit(new_job(), new_job())
    lost_again(store, two)
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT 1 FROM open_jobs WHERE id = %s FOR UPDATE", (two[0],))
        assert store.sweeps.rescue() == []
    assert len(store.sweeps.rescue()) == 2
    assert {store.state(job_id) for job_id in two} == {"parked"}
    database.close()


def test_others_of_the_same_worker_are_freed_beside_suspects(store: Store) -> None:
    suspects, calm = store.submit(new_job(), new_job()), store.submit(*[new_job() for _ in range(3)])
    lost_again(store, [*suspects, *calm])
    with store.database.transaction() as connection:
        connection.execute(sa.update(open_jobs).where(open_jobs.c.id.in_(calm)).values(losses=0))
    assert len(store.sweeps.rescue()) == 5
    assert [store.state(job_id) for job_id in [*suspects, *calm]] == ["parked"] * 2 + ["queued"] * 3


@pytest.mark.parametrize("losses", [2, 3, 5])
@pytest.mark.parametrize("count", [2, 40, 2500])
def test_suspects_are_called_again_soon_and_apart(store: Store, count: int, losses: int) -> None:
    job_ids = store.submit(*[new_job() for _ in range(count)])
    lost_again(store, job_ids, losses)
    store.sweeps.rescue()
    now = store.now()
    times = sorted(row["run_at"] - now for row in store.rows(open_jobs))
    assert times[-1] < SOON
    assert times[-1] - times[0] > timedelta(seconds=12) * (1 - 1 / count) - timedelta(seconds=1)


def test_who_was_lost_ever_so_often_waits_longer_but_not_for_ever(store: Store) -> None:
    job_ids = store.submit(new_job(), new_job())
    lost_again(store, job_ids, losses=50)
    store.sweeps.rescue()
    [first, last] = sorted(row["run_at"] - store.now() for row in store.rows(open_jobs))
    assert SOON < first < last <= timedelta(seconds=301)


def test_the_next_time_is_that_of_a_parked_job_or_of_a_deadline_that_waits(store: Store) -> None:
    assert store.sweeps.due() is None
    now = store.now()
    store.submit(new_job(deadline=now + timedelta(seconds=60)))
    active = store.claimed(new_job(deadline=now - timedelta(seconds=60)))
    assert 50 < (store.sweeps.due() or 0) <= 60
    parked = store.claimed()
    store.settle(settlement(parked, Transition.PARK, delay=30.0))
    assert 20 < (store.sweeps.due() or 0) <= 30
    store.backdate(parked.id, run_at=10)
    assert -20 < (store.sweeps.due() or 0) <= -10
    assert store.state(active.id) == "active"
