"""What a claim promises: one worker at a time, a number that only grows, and no claim that nobody knows of."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Claim
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.writes import Written
from synthralos.store.queue.claims import MOST_GIVEN_BACK, Claims
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import DatabaseFailed, is_transient
from synthralos.store.tables import open_jobs
from tests.fakes.jobs import ids, new_job, settlement, start
from tests.fakes.stores import Store


class Unlucky(Database):
    """A database whose connection breaks right after, or right before, the next commit."""

    breaks: str | None = None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """As the real one, but for what `breaks` says."""
        breaks, self.breaks = self.breaks, None
        with super().transaction() as connection:
            yield connection
            if breaks == "before":
                raise self._broken()
        if breaks == "after":
            raise self._broken()

    @staticmethod
    def _broken() -> DatabaseFailed:
        return DatabaseFailed(psycopg.OperationalError("server closed the connection unexpectedly"))


@pytest.fixture
def unlucky(database: Database) -> Iterator[Unlucky]:
    other = Unlucky(database.url.render_as_string(hide_password=False))
    yield other
    other.close()


def test_a_claim_takes_what_is_queued_at_the_stage_and_nothing_else(store: Store) -> None:
    here, taken, parked, finished, elsewhere = (store.submit()[0] for _ in range(5))
    store.claim([taken])
    store.settle(settlement(store.claim([parked])[0], Transition.PARK))
    store.settle(settlement(store.claim([finished])[0]))
    store.settle(settlement(store.claim([elsewhere])[0], Transition.HAND_OVER))
    assert ids(store.claim([here, taken, parked, finished, elsewhere, new_id()])) == [here]
    assert ids(store.claim([elsewhere], stage=Stage.HEAL)) == [elsewhere]


def test_a_claim_of_nothing_is_nothing(store: Store) -> None:
    assert store.claim([]) == []


def test_the_claim_number_grows_with_every_claim(store: Store) -> None:
    [job_id] = store.submit()
    numbers = []
    for _ in range(3):
        [job] = store.claim([job_id])
        numbers.append(job.claim.claim_no)
        store.settle(settlement(job, Transition.RELEASE))
    assert numbers == [1, 2, 3]


def test_a_claimed_job_carries_what_happened_before(store: Store) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.HAND_OVER, failure={"class": "timeout", "message": "slow"}))
    [again] = store.claim([job.id], stage=Stage.HEAL)
    assert again.attempts == 1
    assert again.plan == start(job).plan
    assert again.failure == {"class": "timeout", "message": "slow"}
    assert again.queued_at is not None
    assert job.created_at == again.created_at <= again.queued_at


@pytest.mark.parametrize("state", ["lost", "stopped", "draining"])
def test_a_worker_that_is_not_running_gets_nothing(store: Store, state: str) -> None:
    worker = store.worker()
    if state == "lost":
        store.lose(worker)
    else:
        store.processes.mark(worker, state)
    assert store.claim(store.submit(), worker) == []


def test_a_worker_that_nobody_registered_gets_nothing(store: Store) -> None:
    assert store.claim(store.submit(), new_id()) == []


def test_nobody_claims_a_job_twice(store: Store) -> None:
    many = store.submit(*[new_job() for _ in range(300)])
    at_once = threading.Barrier(8)

    def grab(_: int) -> list[str]:
        worker = store.worker()
        mine: list[str] = []
        at_once.wait()
        for first in range(0, len(many), 50):
            mine += ids(store.claim(many[first : first + 64], worker))
        return mine

    with ThreadPoolExecutor(8) as pool:
        taken = Counter(job_id for mine in pool.map(grab, range(8)) for job_id in mine)
    assert set(taken.values()) == {1}
    # A job that was skipped because another claim had it locked at that moment stays queued for the sweeper.
    assert set(taken) | {i for i in many if store.state(i) == "queued"} == set(many)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_claim_whose_commit_was_in_doubt_is_found_by_the_next_try(store: Store, unlucky: Unlucky, when: str) -> None:
    claims, worker, wanted = Claims(unlucky), store.worker(), store.submit(new_job(), new_job())
    unlucky.breaks = when
    with pytest.raises(DatabaseFailed) as failed:
        claims.claim(Stage.GUARD, wanted, worker)
    assert is_transient(failed.value)
    found = claims.claim(Stage.GUARD, wanted, worker)
    assert sorted(ids(found)) == sorted(wanted)
    assert store.settlements.start([start(job) for job in found]) == [Written.DONE, Written.DONE]
    assert claims.claim(Stage.GUARD, wanted, worker) == []


def test_a_claim_in_doubt_is_found_after_several_broken_tries(store: Store, unlucky: Unlucky) -> None:
    claims, worker, wanted = Claims(unlucky), store.worker(), store.submit()
    for when in ("after", "before", "after"):
        unlucky.breaks = when
        with pytest.raises(DatabaseFailed):
            claims.claim(Stage.GUARD, wanted, worker)
    assert ids(claims.claim(Stage.GUARD, wanted, worker)) == wanted


def test_a_claim_in_doubt_that_was_lost_meanwhile_stays_with_its_new_holder(store: Store, unlucky: Unlucky) -> None:
    claims, worker, wanted = Claims(unlucky), store.worker(), store.submit()
    unlucky.breaks = "after"
    with pytest.raises(DatabaseFailed):
        claims.claim(Stage.GUARD, wanted, worker)
    store.lose(worker)
    store.sweeps.rescue()
    [theirs] = store.claim(wanted)
    assert claims.claim(Stage.GUARD, wanted, worker) == []
    assert store.settle(settlement(theirs))


def test_a_worker_holds_what_it_claimed_until_it_settles(store: Store) -> None:
    worker = store.worker()
    mine, settled, other = store.claimed(worker=worker), store.claimed(worker=worker), store.claimed()
    store.settle(settlement(settled))
    assert store.claims.active(worker) == [(mine.id, mine.claim.claim_no)]
    assert store.claims.active(other.claim.worker_id) == [(other.id, other.claim.claim_no)]


def test_a_job_that_is_given_back_is_queued_and_its_open_attempt_is_lost(store: Store) -> None:
    job = store.started()
    worker, claim_no = job.claim.worker_id, job.claim.claim_no
    assert store.claims.give_back(worker, [(job.id, claim_no)]) == [(job.id, Stage.EXECUTE, Lane.BULK)]
    row = store.job(job.id)
    assert (row["state"], row["worker_id"], row["losses"]) == ("queued", None, 1)
    [attempt] = store.attempts(job.id)
    assert (attempt["outcome"], attempt["billed"]) == (Outcome.LOST, Billed.MAYBE)
    assert len(store.cost_logs(job.id)) == 1
    assert store.claims.active(worker) == store.claims.give_back(worker, [(job.id, claim_no)]) == []
    [again] = store.claim([job.id], stage=Stage.EXECUTE)
    assert again.claim.claim_no > claim_no


def test_only_the_very_claim_is_given_back(store: Store) -> None:
    job, other = store.claimed(), store.worker()
    worker, claim_no = job.claim.worker_id, job.claim.claim_no
    assert store.claims.give_back(worker, [(job.id, claim_no - 1), (job.id, claim_no + 1)]) == []
    assert store.claims.give_back(other, [(job.id, claim_no)]) == []
    assert store.claims.active(worker) == [(job.id, claim_no)]


def test_a_job_that_is_forgotten_again_and_again_is_not_called_for_ever(store: Store) -> None:
    [job_id] = store.submit()
    for _ in range(MOST_GIVEN_BACK):
        [job] = store.claim([job_id])
        assert store.claims.give_back(job.claim.worker_id, [(job_id, job.claim.claim_no)])
    [job] = store.claim([job_id])
    assert store.claims.give_back(job.claim.worker_id, [(job_id, job.claim.claim_no)]) == []
    assert store.claims.active(job.claim.worker_id) == [(job_id, job.claim.claim_no)]


def test_a_claimed_job_says_how_large_its_request_is(store: Store) -> None:
    small, large = store.submit(new_job("Hello"), new_job("x" * 100_000))
    sizes = {job.id: job.size for job in store.claim([small, large])}
    assert 0 < sizes[small] < 1_000
    assert 100_000 < sizes[large] < 101_000


def test_a_job_that_is_let_go_is_queued_as_if_nobody_had_claimed_it(store: Store) -> None:
    job, other = store.claimed(), store.claimed()
    [before] = store.rows(open_jobs, open_jobs.c.id == job.id)
    store.claims.let_go([(job.id, job.claim), (other.id, Claim(other.claim.worker_id, other.claim.claim_no + 1))])
    [after] = store.rows(open_jobs, open_jobs.c.id == job.id)
    assert after == {**before, "state": "queued", "worker_id": None}
    assert store.state(other.id) == "active"
    assert not store.settle(settlement(job))
    [again] = store.claim([job.id])
    assert again.claim.claim_no > job.claim.claim_no
    assert store.settle(settlement(again))
