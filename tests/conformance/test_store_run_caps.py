"""Caps of agent runs in the store: starts are counted and refused in their own transaction."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.budgets import Budgets
from synthralos.domain.jobs import Job, NewJob, Tenant
from synthralos.domain.run_caps import CapsUse, RunCaps
from synthralos.domain.states import Transition
from synthralos.domain.writes import Refused, StartResult, Written
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.run_caps import RunCapsStore
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError, is_contention
from synthralos.store.tables import open_jobs
from tests.fakes.jobs import attempt_end, new_job, settlement, start
from tests.fakes.stores import Store

BY = By("test", "because")
CENT = Decimal("0.01")
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
LATER = TOMORROW + timedelta(days=1)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def _step(name: str = "look", text: str = "Hello", **more: Any) -> NewJob:
    return new_job(text, run_id="night", metadata={"step": name, "turn": id(more)}, **more)


def cap(store: Store, seconds: float | None = None, **caps: Any) -> CapsUse:
    done = RunCapsStore(store.database).put(RunCaps("acme", "night", **caps), seconds, BY)
    assert done is not None
    return done


def used(store: Store) -> CapsUse:
    [found] = RunCapsStore(store.database).of_run("night", "acme")
    return found


def patiently(act: Callable[[], list[StartResult]]) -> list[StartResult]:
    """Again while others hold the locks, as a group commit does it."""
    while True:
        try:
            return act()
        except StoreError as error:
            if not is_contention(error):
                raise


def begin(store: Store, *jobs: Job) -> list[StartResult]:
    """Start a call of each that may cost a cent, by what the configuration says now."""
    stored = Configuration(store.database).read()
    caps = {each.key: each for each in stored.run_caps}
    budgets = Budgets(stored.budgets)
    return store.settlements.start(
        [
            replace(
                start(job, reserved=CENT),
                charges=budgets.of(job),
                caps=caps.get((job.tenant.organization, job.run_id or "")),
            )
            for job in jobs
        ]
    )


def answer(store: Store, text: str, job: NewJob | None = None) -> StartResult:
    """Have a step started, and answered with that text."""
    claimed = store.claimed(job or _step())
    [began] = begin(store, claimed)
    if began is Written.DONE:
        ended = settlement(claimed, attempt=attempt_end(1, cost=CENT), result={"text": text, "tool_calls": []})
        assert store.settle(replace(ended, charged=True))
    return began


def deadline(store: Store, job_id: str) -> datetime | None:
    [row] = store.rows(open_jobs, open_jobs.c.id == job_id)
    found: datetime | None = row["deadline"]
    return found


def message(refused: StartResult) -> str:
    assert isinstance(refused, Refused)
    assert refused.message is not None
    return refused.message


def test_a_run_makes_so_many_calls_and_says_why_no_more(store: Store) -> None:
    cap(store, max_calls=2)
    claimed = [store.claimed(_step()) for _ in range(3)]
    results = begin(store, *claimed)
    assert results[:2] == [Written.DONE] * 2
    assert "max_calls of 2" in message(results[2])
    assert "PUT /api/v1/runs/night" in message(results[2])
    assert (used(store).calls, used(store).refused_reason) == (2, message(results[2]))
    raised = cap(store, max_calls=3)
    assert (raised.calls, raised.refused_reason) == (2, None)
    assert begin(store, claimed[2]) == [Written.DONE]
    assert used(store).calls == 3


def test_a_start_whose_commit_was_in_doubt_counts_once(store: Store) -> None:
    cap(store, max_calls=1)
    job = store.claimed(_step())
    assert begin(store, job) == [Written.DONE]
    store.settlements._in_doubt.add((job.id, job.claim.claim_no, 1))
    assert begin(store, job) == [Written.DONE]
    assert used(store).calls == 1


def test_calls_and_money_of_before_the_caps_count(store: Store) -> None:
    answer(store, "Paris")
    after = cap(store, max_calls=1, max_cost=CENT)
    assert (after.calls, after.spent) == (1, CENT)
    assert isinstance(begin(store, store.claimed(_step()))[0], Refused)


def test_other_runs_and_other_organizations_are_not_held(store: Store) -> None:
    cap(store, max_calls=0, max_cost=Decimal(0))
    other = new_job(run_id="night", tenant=Tenant("other", "main"))
    claimed = [store.claimed(job) for job in (new_job(run_id="day"), new_job(), other)]
    assert begin(store, *claimed) == [Written.DONE] * 3


def test_a_run_spends_so_much_and_says_why_no_more(store: Store) -> None:
    cap(store, max_cost=2 * CENT)
    assert [answer(store, text) for text in "ab"] == [Written.DONE] * 2
    assert used(store).spent == 2 * CENT
    refused = answer(store, "c")
    assert "max_cost_usd of the run night" in message(refused)
    assert used(store).refused_reason == message(refused)
    assert not BudgetStore(store.database).all()
    cap(store, max_cost=3 * CENT)
    assert used(store).spent == 2 * CENT
    assert answer(store, "c") is Written.DONE
    cap(store)
    assert Configuration(store.database).read().budgets == ()


def test_money_that_only_waits_for_calls_under_way_is_no_cap_reached(store: Store) -> None:
    cap(store, max_cost=CENT)
    first, second = (store.claimed(_step()) for _ in range(2))
    results = begin(store, first, second)
    assert results[0] is Written.DONE
    assert isinstance(results[1], Refused)
    assert not results[1].full
    assert used(store).refused_reason is None


def test_open_jobs_get_the_runs_deadline_and_lose_it_again(store: Store) -> None:
    free, own, early = store.submit(_step(), _step(deadline=LATER), _step(deadline=TOMORROW - timedelta(hours=1)))
    [other] = store.submit(new_job(run_id="day"))
    before = [deadline(store, job_id) for job_id in (free, own, early, other)]
    cap(store, deadline=TOMORROW)
    assert [deadline(store, job_id) for job_id in (free, own, early, other)] == [TOMORROW, TOMORROW, *before[2:]]
    cap(store, deadline=LATER + timedelta(days=1))
    assert [deadline(store, job_id) for job_id in (free, own, early)] == [LATER + timedelta(days=1), LATER, before[2]]
    assert RunCapsStore(store.database).remove("night", "acme", BY) is not None
    assert [deadline(store, job_id) for job_id in (free, own, early, other)] == before
    assert RunCapsStore(store.database).remove("night", "acme", BY) is None


def test_no_call_starts_after_the_deadline(store: Store) -> None:
    job = store.claimed(_step())
    cap(store, deadline=datetime.now(UTC) - timedelta(seconds=1))
    assert "deadline of the run night" in message(begin(store, job)[0])
    soon = cap(store, seconds=3600)
    assert soon.caps.deadline is not None
    assert timedelta(minutes=50) < soon.caps.deadline - datetime.now(UTC) < timedelta(minutes=70)
    assert begin(store, job) == [Written.DONE]


def test_a_step_that_goes_round_is_not_asked_again(store: Store) -> None:
    cap(store)
    assert [answer(store, "Paris") for _ in range(3)] == [Written.DONE] * 3
    refused = answer(store, "Paris")
    assert "goes round: its step look" in message(refused)
    assert used(store).refused_reason == message(refused)
    assert answer(store, "Paris", _step(text="And now?")) is Written.DONE
    assert answer(store, "Paris", _step("write")) is Written.DONE
    cap(store, max_repeats=4)
    assert answer(store, "Paris") is Written.DONE


def test_a_step_whose_answers_differ_goes_on(store: Store) -> None:
    cap(store, max_repeats=2)
    assert [answer(store, text) for text in "abab"] == [Written.DONE] * 4


def test_what_failed_repeats_nothing(store: Store) -> None:
    cap(store, max_repeats=1)
    failed = store.claimed(_step())
    assert begin(store, failed) == [Written.DONE]
    assert store.settle(replace(settlement(failed, Transition.FAIL, attempt=attempt_end(1)), charged=True))
    assert answer(store, "Paris") is Written.DONE


def test_caps_are_in_the_audit_log_and_change_the_version(store: Store) -> None:
    configuration = Configuration(store.database)
    before = configuration.version()
    cap(store, max_calls=5)
    assert configuration.version() == before + 1
    with store.database.snapshot() as connection:
        told = connection.execute(sa.text("SELECT act FROM audit_log")).scalars().all()
    assert "runs.set_caps" in told


def test_workers_together_make_no_call_too_many(store: Store) -> None:
    cap(store, max_calls=10, max_cost=Decimal(1), max_repeats=100)
    claimed = [store.claimed(_step(text=f"Hello {number}")) for number in range(24)]
    results: list[StartResult] = []

    def work(jobs: list[Job]) -> None:
        for job in jobs:
            results.extend(patiently(lambda job=job: begin(Store(store.database), job)))  # type: ignore[misc]

    with ThreadPoolExecutor(6) as pool:
        for each in [pool.submit(work, claimed[n::6]) for n in range(6)]:
            each.result()
    assert sum(result is Written.DONE for result in results) == 10
    assert sum(isinstance(result, Refused) for result in results) == 14
    assert used(store).calls == 10


def test_a_change_of_caps_while_calls_start_waits_in_no_circle(store: Store) -> None:
    cap(store, max_calls=1000, max_cost=Decimal(1))
    claimed = [store.claimed(_step(text=f"Hello {number}")) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(begin, store, *claimed[n::2]) for n in range(2)]
        changes = [
            pool.submit(cap, store, max_calls=1000, max_cost=Decimal(1), deadline=TOMORROW + timedelta(hours=n))
            for n in range(6)
        ]
        assert [result for each in starts for result in each.result()] == [Written.DONE] * 20
        assert all(each.result().caps.max_calls == 1000 for each in changes)
    assert used(store).calls == 20
