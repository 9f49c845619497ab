"""Budgets hold money before calls and settle it afterwards, whatever becomes of the calls."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.budgets import AtLimit, Budget, Budgets, Charge, Per, Period, Raised, Use
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Job, NewJob, Tenant
from synthralos.domain.states import Transition
from synthralos.domain.writes import Refused, Settlement, StartResult, Written
from synthralos.store.admin.audit import By
from synthralos.store.admin.budgets import BudgetStore
from synthralos.store.queue.budgets import OrphanedHolds
from synthralos.store.queue.settlements import Settlements
from synthralos.store.sql.database import Database
from synthralos.store.tables import budget_holds
from tests.fakes.jobs import attempt_end, new_job, settlement, start
from tests.fakes.stores import Store

BY = By("test", "because")
CENT = Decimal("0.01")


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def budget(store: Store, limit: Decimal = 2 * CENT, **more: Any) -> Budget:
    made = Budget(new_id(), more.pop("name", "small"), Per.ORGANIZATION, Period.DAY, limit, organization="acme")
    return BudgetStore(store.database).create(replace(made, **more), BY)


def begin(store: Store, job: Job, *budgets: Budget, worst: Decimal | None = CENT) -> StartResult:
    """Start a call of the job that may cost a cent."""
    charges = Budgets(budgets).of(job)
    assert charges
    [result] = store.settlements.start([replace(start(job, reserved=worst), charges=charges)])
    if result is Written.DONE:
        job.attempts += 1
    return result


def over(job: Job, transition: Transition = Transition.SUCCEED, **end: Any) -> Settlement:
    ended = attempt_end(job.attempts, **{"cost": CENT / 2, **end})
    return replace(settlement(job, transition, attempt=ended, analyzed=True), charged=True)


def used(store: Store, of: Budget) -> tuple[Decimal, Decimal, Decimal]:
    """Held, perhaps spent, spent."""
    uses = BudgetStore(store.database).uses(of) or [Use("", datetime.now(UTC), *[Decimal(0)] * 3)]
    [use] = uses
    return use.held, use.maybe, use.spent


def holds(store: Store) -> int:
    return len(store.rows(budget_holds, sa.true()))


def test_money_is_held_before_the_call_and_settled_after_it(store: Store) -> None:
    small = budget(store)
    job = store.claimed()
    assert begin(store, job, small) is Written.DONE
    assert used(store, small) == (CENT, 0, 0)
    assert store.settle(over(job))
    assert (used(store, small), holds(store)) == ((0, 0, CENT / 2), 0)


def test_a_call_without_room_is_refused_by_name_and_its_claim_holds(store: Store) -> None:
    small = budget(store, at_limit=AtLimit.PARK)
    first, second, third = (store.claimed() for _ in range(3))
    assert [begin(store, job, small) for job in (first, second)] == [Written.DONE] * 2
    refused = begin(store, third, small)
    assert isinstance(refused, Refused)
    assert (refused.budget, refused.at_limit, refused.full) == ("small", AtLimit.PARK, False)
    assert 0 < (refused.seconds or 0) <= 86_400
    assert all(store.settle(over(job, cost=CENT)) for job in (first, second))
    full = begin(store, third, small)
    assert isinstance(full, Refused)
    assert full.full
    assert store.settle(settlement(third, Transition.PARK, delay=1.0))
    assert (used(store, small), holds(store)) == ((0, 0, 2 * CENT), 0)


@pytest.mark.parametrize(
    ("billed", "cost", "expected"),
    [
        (Billed.NO, None, (0, 0, 0)),
        (Billed.MAYBE, None, (0, CENT, 0)),
        (Billed.YES, None, (0, CENT, 0)),
        (Billed.YES, 3 * CENT, (0, 0, 3 * CENT)),
    ],
    ids=["not billed", "maybe billed", "unknown cost", "dearer than thought"],
)
def test_a_call_frees_its_money_by_its_fate(
    store: Store, billed: Billed, cost: Decimal | None, expected: tuple[Decimal, ...]
) -> None:
    small = budget(store)
    job = store.claimed()
    begin(store, job, small)
    assert store.settle(over(job, Transition.CONTINUE, billed=billed, cost=cost))
    assert used(store, small) == expected


def test_a_lost_worker_leaves_its_money_perhaps_spent_until_the_end_is_learned(store: Store) -> None:
    small, worker = budget(store), store.worker()
    job = store.claimed(worker=worker)
    begin(store, job, small)
    store.lose(worker)
    store.sweeps.rescue()
    assert used(store, small) == (0, CENT, 0)
    assert not store.settle(over(job))  # the zombie: its claim is gone, its books are not
    assert (used(store, small), holds(store)) == ((0, 0, CENT / 2), 0)


def test_a_start_that_is_written_twice_holds_once(store: Store) -> None:
    small = budget(store)
    job = store.claimed()
    first = begin(store, job, small)
    job.attempts -= 1
    assert (first, begin(store, job, small)) == (Written.DONE, Written.DONE)
    assert used(store, small) == (CENT, 0, 0)


def test_a_start_whose_claim_is_lost_holds_nothing(store: Store) -> None:
    small, worker = budget(store), store.worker()
    job = store.claimed(worker=worker)
    store.lose(worker)
    store.sweeps.rescue()
    assert begin(store, job, small) is Written.CLAIM_LOST
    assert used(store, small) == (0, 0, 0)


def test_all_budgets_have_to_have_room(store: Store) -> None:
    large, tiny = budget(store, 5 * CENT, name="large"), budget(store, CENT / 2, name="tiny")
    refused = begin(store, store.claimed(), large, tiny)
    assert isinstance(refused, Refused)
    assert (refused.budget, refused.seconds) == ("tiny", None)  # no period is ever long enough
    assert used(store, large) == (0, 0, 0)


def test_an_unknown_price_is_not_0(store: Store) -> None:
    refused = begin(store, store.claimed(), budget(store), worst=None)
    assert isinstance(refused, Refused)
    assert "unknown" in refused.why


def test_a_raised_limit_holds_until_its_time(store: Store) -> None:
    small = budget(store, CENT)
    jobs = [store.claimed() for _ in range(3)]
    assert begin(store, jobs[0], small) is Written.DONE
    now = datetime.now(UTC)
    books = BudgetStore(store.database)
    books.raise_limit(small, Raised(2 * CENT, now + timedelta(hours=1), "ann", "launch"), BY)
    assert begin(store, jobs[1], small) is Written.DONE  # the worker knows the budget as it was
    books.raise_limit(small, Raised(9 * CENT, now - timedelta(hours=1), "ann", "launch"), BY)
    assert isinstance(begin(store, jobs[2], small), Refused)


def test_a_new_period_begins_with_nothing(store: Store) -> None:
    small = budget(store, CENT)
    begin(store, store.claimed(), small)
    [hold] = store.rows(budget_holds, sa.true())
    assert hold["since"] == Period.DAY.since(datetime.now(UTC))
    assert Period.MONTH.until(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert Period.TOTAL.until(datetime.now(UTC)) is None


def test_thresholds_are_told_once(store: Store) -> None:
    small = budget(store, 2 * CENT, alerts=(50, 100))
    told = []
    for cost in (CENT / 2, CENT / 2, CENT / 2, CENT / 2):
        job = store.claimed()
        begin(store, job, small, worst=cost)
        store.settle(over(job, cost=cost))
        told += [event["data"]["percent"] for event in store.events(job.id) if event["kind"] == "budget_alert"]
    assert told == [50, 100]


def test_a_call_that_passes_several_thresholds_tells_of_each(store: Store) -> None:
    counted: list[int] = []
    store.settlements = Settlements(store.database, alerted=counted.extend)
    small = budget(store, 2 * CENT, alerts=(50, 80, 100))
    job = store.claimed()
    begin(store, job, small)
    store.settle(over(job, cost=2 * CENT))
    told = [event["data"]["percent"] for event in store.events(job.id) if event["kind"] == "budget_alert"]
    assert (told, counted) == ([50, 80, 100], [50, 80, 100])


def test_what_an_api_key_spends_counts_together_whoevers_jobs_it_submits(store: Store) -> None:
    ours, theirs = new_id(), new_id()
    each = budget(store, CENT, per=Per.API_KEY, organization=None)
    one = budget(store, CENT, name="one", per=Per.API_KEY, organization=None, api_key=theirs)
    mine = [submitted_with(new_job(tenant=Tenant(name, "w", None, "pro")), ours) for name in ("acme", "globex")]
    first, second = (store.claimed(job) for job in mine)
    assert (first.api_key_id, Budgets([one]).of(first)) == (ours, ())
    assert begin(store, first, each, one) is Written.DONE
    assert isinstance(begin(store, second, each, one), Refused)
    other = store.claimed(submitted_with(new_job(), theirs))
    assert begin(store, other, each, one) is Written.DONE
    assert store.settle(over(other))
    [use] = BudgetStore(store.database).uses(one)
    assert (use.subject, use.spent) == (theirs, CENT / 2)
    assert Budgets([each]).of(store.claimed()) == ()
    assert [found.api_key for found in BudgetStore(store.database).all()] == [None, theirs]


def test_each_api_key_comes_to_thresholds_of_its_own(store: Store) -> None:
    each = budget(store, 2 * CENT, per=Per.API_KEY, organization=None, alerts=(50, 100))
    ours, theirs = new_id(), new_id()
    told = []
    for key in (ours, theirs, ours, ours, theirs):
        job = store.claimed(submitted_with(new_job(), key))
        begin(store, job, each, worst=CENT / 2)
        store.settle(over(job, cost=CENT / 2))
        alerts = [event["data"] for event in store.events(job.id) if event["kind"] == "budget_alert"]
        told += [(alert["percent"], alert["subject"]) for alert in alerts]
    assert told == [(50, ours), (50, theirs)]


def submitted_with(job: NewJob, key: str) -> NewJob:
    job.api_key_id = key
    return job


def test_what_somebody_settled_who_knew_nothing_of_budgets_is_freed(store: Store) -> None:
    small = budget(store)
    job = store.claimed()
    begin(store, job, small)
    running = store.claimed()
    begin(store, running, small)
    store.settle(replace(over(job), charged=False))
    assert [OrphanedHolds(store.database).settle() for _ in range(2)] == [1, 0]
    assert used(store, small) == (CENT, 0, CENT / 2)


def test_budgets_are_never_overspent_by_many_at_once(store: Store) -> None:
    """Eight workers, 200 jobs, room for 20 calls at a time: none begins that does not fit."""
    budgets = [budget(store, 20 * CENT, name=name) for name in ("one", "two")]
    worker = store.worker()
    claimed = [job for ids in [store.submit(*(new_job() for _ in range(200)))] for job in store.claim(ids, worker)]
    won: list[Job] = []
    failed: list[Exception] = []

    def work(jobs: list[Job], order: int) -> None:
        try:
            for job in jobs:
                if begin(store, job, *budgets[::order]) is Written.DONE:
                    won.append(job)
                    if len(won) % 3 == 0:
                        store.settle(over(job, billed=Billed.NO, cost=None))
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(claimed[n::8], 1 if n % 2 else -1)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    for each_budget in budgets:
        held, maybe, spent = used(store, each_budget)
        assert held == CENT * (len(won) - len(won) // 3)
        assert held + maybe + spent <= 20 * CENT


def test_a_budget_is_of_those_whom_it_names(store: Store) -> None:
    job = store.claimed(new_job(tenant=Tenant("acme", "main", "ann"), run_id="r1"))
    made = Budget("b", "b", Per.RUN, Period.TOTAL, CENT, organization="acme", workspace="main")
    assert Budgets([made]).of(job) == (Charge(made, "acme/r1"),)
    for other in ({"workspace": "side"}, {"organization": "other"}, {"user": "bob"}):
        assert Budgets([replace(made, **other)]).of(job) == ()
    assert Budgets([replace(made, organization=None, workspace=None, per=Per.JOB)]).of(job)[0].subject == job.id
