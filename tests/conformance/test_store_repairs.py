"""Repairs in the store: booked with what parks the job, moved by one actor alone, ended in one transaction with it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from synthralos.domain.attempts import Outcome
from synthralos.domain.failures import FailureClass
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.repairs import NewRepair, Repair, RepairKind, RepairState
from synthralos.domain.retention import Kind, Retention
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.domain.writes import Written
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.queue.operations import Changed, Operations, Refused
from synthralos.store.queue.repairs import RepairFilter, Repairs, Wanted
from synthralos.store.read.jobs import Reader
from synthralos.store.retention.keeping import Keeping
from tests.fakes.jobs import attempt_end, deployment, failure, new_job, settlement, start
from tests.fakes.stores import Store

ANN = By("ann", "look at it")


def a_repair(store: Store, kind: RepairKind = RepairKind.RETRY, seconds: float = 60.0) -> NewRepair:
    until = store.now() + timedelta(seconds=seconds)
    return NewRepair(kind, "overloaded at a", "overloaded", until, {"job_id": "x"})


def parked(store: Store, seconds: float = 60.0) -> tuple[Job, str]:
    """A job that waits for a repair, after one call; and that repair's id."""
    job = store.started(new_job())
    repair = a_repair(store, seconds=seconds)
    asked = Constraints(asked=("overloaded",)).to_json()
    ended = attempt_end(1, Outcome.FAILED)
    done = settlement(
        job, Transition.PARK, stage=Stage.HEAL, delay=seconds, attempt=ended,
        failure=failure(FailureClass.OVERLOADED).to_json(), constraints=asked, repair=repair, deployment=deployment(),
    )  # fmt: skip
    assert store.settle(done)
    return job, repair.id


def the(store: Store, repair_id: str) -> Repair:
    found = Repairs(store.database).get(repair_id, EVERYTHING)
    assert found is not None
    return found


def kinds(store: Store, job_id: str) -> list[tuple[str, str]]:
    return [(each["kind"], each["actor"]) for each in store.events(job_id)]


def test_a_repair_is_booked_with_what_parks_its_job_and_is_seen_to_be_awaited(store: Store) -> None:
    job, repair_id = parked(store)
    repair = the(store, repair_id)
    assert (repair.job_id, repair.organization, repair.state, repair.asked_by, repair.workflow) == (
        job.id, "acme", RepairState.ASKED, "heal", "synthralos.llm_retry",
    )  # fmt: skip
    assert abs(repair.until - store.job(job.id)["run_at"]) < timedelta(seconds=10)
    [following] = Repairs(store.database).following(10)
    assert (following.repair.id, following.awaited) == (repair_id, True)
    assert repair.sent["repair_id"] == repair_id


def test_a_settlement_whose_claim_was_lost_books_no_repair(store: Store) -> None:
    [job_id] = store.submit(new_job())
    [job] = store.claim([job_id])
    Operations(store.database).cancel(job_id, EVERYTHING, "ann")
    done = settlement(job, Transition.PARK, stage=Stage.HEAL, repair=a_repair(store))
    assert not store.settle(done)
    assert Repairs(store.database).following(10) == []


def test_what_ends_without_moving_the_job_sends_it_back_to_heal(store: Store) -> None:
    job, repair_id = parked(store)
    repairs = Repairs(store.database)
    assert repairs.started(repair_id, "e1")
    ended = repairs.end(repair_id, RepairState.FAILED, "it failed", {"status": "failed"})
    assert ended is not None
    assert ended.woken is not None
    assert (ended.woken.id, ended.woken.stage) == (job.id, Stage.HEAL)
    row = store.job(job.id)
    assert (row["state"], row["stage"], row["run_at"]) == (State.QUEUED, Stage.HEAL, None)
    assert Constraints.from_json(row["constraints"]).asked == ("overloaded",)
    after = the(store, repair_id)
    assert (after.state, after.execution_id, after.result) == (RepairState.FELL_BACK, "e1", {"status": "failed"})
    assert kinds(store, job.id) == [("repair.ended", "stackstorm")]
    assert repairs.end(repair_id, RepairState.FAILED, "again") is None
    assert not repairs.started(repair_id, "e2")


def test_a_retry_sends_the_job_on_with_the_calls_that_it_has_made(store: Store) -> None:
    job, repair_id = parked(store)
    done = Operations(store.database).retry(job.id, EVERYTHING, "key:pack", "go", repair_id)
    assert isinstance(done, Changed)
    row = store.job(job.id)
    assert (row["state"], row["stage"], row["attempts"], row["retry_base"]) == (State.QUEUED, Stage.ROUTE, 1, 0)
    assert the(store, repair_id).acted_at is not None


def spans(store: Store, job_id: str) -> list[dict[str, Any]]:
    return [each for each in Reader(store.database).timeline(job_id)["spans"] if each["name"] == "repair"]


def test_the_jobs_trace_has_the_repair_until_it_moved_the_job(store: Store) -> None:
    job, repair_id = parked(store)
    repairs = Repairs(store.database)
    assert repairs.started(repair_id, "e1")
    assert isinstance(Operations(store.database).retry(job.id, EVERYTHING, "key:pack", "go", repair_id), Changed)
    [span] = spans(store, job.id)
    after = the(store, repair_id)
    assert (span["status"], span["started_at"], span["ended_at"]) == ("ok", after.asked_at, after.acted_at)
    assert (span["attributes"]["repair"], span["attributes"]["execution_id"]) == (repair_id, "e1")
    assert repairs.end(repair_id, RepairState.SUCCEEDED, "the job succeeded") is not None
    assert len(spans(store, job.id)) == 1


@pytest.mark.parametrize("job_is", ["parked", "called off"])
def test_the_jobs_trace_has_a_repair_that_did_nothing(store: Store, job_is: str) -> None:
    job, repair_id = parked(store)
    if job_is == "called off":
        Operations(store.database).cancel(job.id, EVERYTHING, "ann")
    assert Repairs(store.database).end(repair_id, RepairState.CANCELLED, "StackStorm is away") is not None
    [span] = spans(store, job.id)
    assert (span["status"], span["attributes"]["outcome"]) == ("error", "StackStorm is away")
    assert span["ended_at"] == the(store, repair_id).ended_at


def test_a_repair_of_a_dead_letter_is_in_the_trace_that_goes_on(store: Store) -> None:
    job = store.started(new_job())
    failed = attempt_end(1, Outcome.FAILED)
    assert store.settle(settlement(job, Transition.FAIL, failure=failure().to_json(), attempt=failed))
    repairs = Repairs(store.database)
    asked = repairs.ask(job.id, EVERYTHING, Wanted(RepairKind.RETRY, {"job_id": job.id}, 60.0), ANN)
    assert asked is not None
    assert isinstance(Operations(store.database).retry(job.id, EVERYTHING, "key:pack", "go", asked.id), Changed)
    [span] = spans(store, job.id)
    assert (span["status"], span["attributes"]["by"]) == ("ok", "ann")


def test_a_repair_moves_its_job_once_and_no_other(store: Store) -> None:
    job, repair_id = parked(store)
    other, _ = parked(store)
    operations = Operations(store.database)
    assert isinstance(operations.retry(other.id, EVERYTHING, "key:pack", "", repair_id), Refused)
    assert isinstance(operations.reroute(job.id, EVERYTHING, "key:pack", {}, "", repair_id), Changed)
    again = operations.reroute(job.id, EVERYTHING, "key:pack", {}, "", repair_id)
    assert isinstance(again, Refused)
    assert again.repair_id == repair_id
    assert isinstance(operations.reroute(job.id, EVERYTHING, "ann", {}), Changed)  # a person may all the same


def test_a_repair_that_is_over_moves_nothing(store: Store) -> None:
    job, repair_id = parked(store)
    assert Repairs(store.database).end(repair_id, RepairState.FAILED, "late")
    assert isinstance(Operations(store.database).retry(job.id, EVERYTHING, "key:pack", "", repair_id), Refused)


def test_where_somebody_else_moved_the_job_the_repair_ends_as_it_does(store: Store) -> None:
    job, repair_id = parked(store)
    Operations(store.database).cancel(job.id, EVERYTHING, "ann")
    [following] = Repairs(store.database).following(10)
    assert not following.awaited
    ended = Repairs(store.database).end(repair_id, RepairState.CANCELLED, "the job went on without it")
    assert ended is not None
    assert (ended.woken, ended.repair.state) == (None, RepairState.CANCELLED)
    assert store.state(job.id) == State.CANCELLED


def test_an_operator_asks_once_while_one_is_open(store: Store) -> None:
    [job_id] = store.submit(new_job())
    repairs = Repairs(store.database)
    wanted = Wanted(RepairKind.REROUTE, {"job_id": job_id}, 60.0)
    first = repairs.ask(job_id, EVERYTHING, wanted, ANN)
    assert first is not None
    assert (first.asked_by, first.reason, first.state) == ("ann", "look at it", RepairState.ASKED)
    second = repairs.ask(job_id, EVERYTHING, wanted, ANN)
    assert second is not None
    assert second.id == first.id
    assert repairs.ask(job_id, Scope("other"), wanted, ANN) is None
    assert repairs.ask(new_id(), EVERYTHING, wanted, ANN) is None
    [entry] = Audit(store.database).page(AuditFilter(act="repairs.ask"), EVERYTHING, 10)
    assert (entry.actor, entry.subject) == ("ann", f"job:{job_id}")
    assert kinds(store, job_id) == [("repair.asked", "ann")]


def test_repairs_are_listed_newest_first_within_a_tenant(store: Store) -> None:
    job, repair_id = parked(store)
    _, other_id = parked(store)
    repairs = Repairs(store.database)
    assert [each.id for each in repairs.page(RepairFilter(), Scope("acme"), 10)] == [other_id, repair_id]
    assert [each.id for each in repairs.page(RepairFilter(job_id=job.id), EVERYTHING, 10)] == [repair_id]
    assert [each.id for each in repairs.page(RepairFilter(before=other_id), EVERYTHING, 10)] == [repair_id]
    assert repairs.page(RepairFilter(state=RepairState.STARTED), EVERYTHING, 10) == []
    assert repairs.page(RepairFilter(), Scope("other"), 10) == []
    assert repairs.get(repair_id, Scope("other")) is None


def test_repairs_that_are_over_are_forgotten_by_age(store: Store) -> None:
    _, over = parked(store)
    _, still_open = parked(store)
    Repairs(store.database).end(over, RepairState.FAILED, "no")
    keeping, long, not_at_all = Keeping(store.database), *(Retention(dict.fromkeys(Kind, days)) for days in (1.0, -1.0))
    assert keeping.step(Kind.INCIDENTS, long, 10).removed == 0
    assert keeping.step(Kind.INCIDENTS, not_at_all, 10).removed == 1
    assert [each.id for each in Repairs(store.database).page(RepairFilter(), EVERYTHING, 10)] == [still_open]


@pytest.mark.parametrize("turn", range(5))
def test_a_stackstorm_retry_an_operators_click_and_the_automatic_way_give_one_attempt(store: Store, turn: int) -> None:
    """At the same moment: the pack's retry, its reroute, a person's retry, the leader's fallback, and the sweeper."""
    job, repair_id = parked(store)
    store.backdate(job.id, run_at=1)
    operations, repairs = Operations(store.database), Repairs(store.database)
    acts = [
        lambda: isinstance(operations.retry(job.id, EVERYTHING, "key:pack", "", repair_id), Changed),
        lambda: isinstance(operations.reroute(job.id, EVERYTHING, "key:pack", {}, "", repair_id), Changed),
        lambda: isinstance(operations.retry(job.id, EVERYTHING, "ann", "click"), Changed),
        lambda: (ended := repairs.end(repair_id, RepairState.FAILED, "away")) is not None and ended.woken is not None,
        lambda: bool(store.sweeps.wake_due()),
    ]
    acts = acts[turn:] + acts[:turn]
    ready = threading.Barrier(len(acts))

    def at_once(act: Any) -> bool:
        ready.wait()
        return bool(act())

    with ThreadPoolExecutor(len(acts)) as pool:
        moved = list(pool.map(at_once, acts))
    assert sum(moved) == 1, moved
    assert store.state(job.id) == State.QUEUED
    [taken] = store.claim([job.id], stage=Stage(store.job(job.id)["stage"]))
    assert store.settlements.start([start(taken, 2)]) == [Written.DONE]
    assert store.job(job.id)["attempts"] == 2
