"""Wait points in the store: opened with what parks the job, answered once, in one transaction with the job."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.domain.waits import APPROVE, DENY, Answer, NewWait, Wait, WaitKind, WaitState
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.queue.idempotency import KeyReusedError, MadeBeforeError
from synthralos.store.queue.waits import Answered, AskedOfRun, Closed, WaitFilter, Waits
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import waits
from tests.fakes.jobs import new_job, settlement
from tests.fakes.keyed import once
from tests.fakes.stores import Store

ANN, BOB = By("ann", "looks fine"), By("bob")
ACME = Tenant("acme", "main", "ann")
RULE = "policy:0199@3/one"


def a_wait(default: Answer | None = DENY, kind: WaitKind = WaitKind.APPROVAL) -> NewWait:
    deadline = datetime.now(UTC) + timedelta(hours=1)
    return NewWait(kind, "legal", "may it go?", 3600.0, deadline, default, (RULE,))


def parked(store: Store, wait: NewWait) -> str:
    """A job that waits."""
    job = store.claimed()
    done = settlement(job, Transition.PARK, delay=wait.seconds)
    done.stage, done.wait = Stage.GUARD, wait
    assert store.settle(done)
    return job.id


def the_wait(store: Store, wait_id: str) -> Wait:
    found = Waits(store.database).get(wait_id, EVERYTHING)
    assert found is not None
    return found


def events(store: Store, job_id: str) -> list[tuple[str, str]]:
    return [(each["kind"], each["actor"]) for each in store.events(job_id)]


def test_an_approval_wakes_the_job_where_it_stopped_and_is_kept_with_it(store: Store) -> None:
    wait = a_wait()
    job_id = parked(store, wait)
    opened = the_wait(store, wait.id)
    assert (opened.job_id, opened.state, opened.organization, opened.default) == (
        job_id, WaitState.OPEN, "acme", DENY,
    )  # fmt: skip
    assert abs(opened.deadline - store.job(job_id)["run_at"]) < timedelta(seconds=60)
    outcome = Waits(store.database).answer(wait.id, EVERYTHING, APPROVE, ANN)
    assert isinstance(outcome, Answered)
    assert outcome.work_item is not None
    assert (outcome.work_item.id, outcome.work_item.stage, outcome.over) == (job_id, Stage.GUARD, False)
    job = store.job(job_id)
    assert (job["state"], job["stage"], job["run_at"]) == (State.QUEUED, Stage.GUARD, None)
    assert Constraints.from_json(job["constraints"]).granted[0].to_json() == {
        "what": RULE, "wait": wait.id, "by": "ann",
    }  # fmt: skip
    assert events(store, job_id) == [("wait.answered", "ann")]
    assert [span["name"] for span in store.spans(job_id)][-1] == "wait"
    [entry] = Audit(store.database).page(AuditFilter(act="waits.answer"), EVERYTHING, 10)
    assert (entry.actor, entry.subject, entry.reason) == ("ann", f"wait:{wait.id}", "looks fine")
    assert entry.after == {"state": "answered", "answer": "approve"}


def test_a_denial_ends_the_job_with_who_and_why(store: Store) -> None:
    wait = a_wait()
    job_id = parked(store, wait)
    outcome = Waits(store.database).answer(wait.id, EVERYTHING, DENY, By("ann", "not this week"))
    assert isinstance(outcome, Answered)
    assert outcome.over
    job = store.job(job_id)
    assert (job["state"], job["verdict"]["decision"]) == (State.DENIED, "deny")
    [finding] = job["verdict"]["findings"]
    assert "ann" in finding["reason"]
    assert "not this week" in finding["reason"]
    assert the_wait(store, wait.id).state is WaitState.ANSWERED


def test_a_second_answer_finds_it_closed_and_who_answered(store: Store) -> None:
    wait = a_wait()
    parked(store, wait)
    found = Waits(store.database)
    found.answer(wait.id, EVERYTHING, APPROVE, ANN)
    again = found.answer(wait.id, EVERYTHING, DENY, BOB)
    assert isinstance(again, Closed)
    assert (again.wait.answered_by, again.wait.answer) == ("ann", APPROVE)


def test_of_two_at_the_same_moment_one_wins(store: Store) -> None:
    wait = a_wait()
    job_id = parked(store, wait)
    gate = threading.Barrier(2)

    def answer(answer: Answer, by: By) -> Any:
        gate.wait()
        return Waits(store.database).answer(wait.id, EVERYTHING, answer, by)

    with ThreadPoolExecutor(2) as threads:
        outcomes = [each.result() for each in [threads.submit(answer, APPROVE, ANN), threads.submit(answer, DENY, BOB)]]
    [won] = [each for each in outcomes if isinstance(each, Answered)]
    [lost] = [each for each in outcomes if isinstance(each, Closed)]
    assert lost.wait.answered_by == won.wait.answered_by
    assert store.state(job_id) == (State.DENIED if won.over else State.QUEUED)


@pytest.mark.parametrize(("default", "state"), [(APPROVE, State.QUEUED), (DENY, State.DENIED), (None, State.DENIED)])
def test_the_deadline_has_the_default_hold(store: Store, default: Answer | None, state: State) -> None:
    kind = WaitKind.SIGNAL if default is None else WaitKind.APPROVAL
    wait = a_wait(default, kind)
    job_id = parked(store, wait)
    assert store.sweeps.wake_due() == []
    store.backdate(job_id, run_at=1)
    [item] = store.sweeps.wake_due()
    assert item.stage == (Stage.GUARD if state is State.QUEUED else Stage.ANALYZE)
    assert store.state(job_id) == state
    after = the_wait(store, wait.id)
    assert (after.state, after.answer, after.answered_by) == (WaitState.TIMED_OUT, default, "system")
    assert events(store, job_id) == [("wait.answered", "system")]
    assert isinstance(Waits(store.database).answer(wait.id, EVERYTHING, APPROVE, ANN), Closed)


def test_what_ends_or_reroutes_the_job_withdraws_its_wait(store: Store) -> None:
    opened = [a_wait() for _ in range(3)]
    cancelled, rerouted, expired = (parked(store, wait) for wait in opened)
    store.operations.cancel(cancelled, EVERYTHING, "ann")
    store.operations.reroute(rerouted, EVERYTHING, "ann", {})
    store.backdate(expired, deadline=1)
    [item] = store.sweeps.expire()
    assert item.id == expired
    assert {the_wait(store, wait.id).state for wait in opened} == {WaitState.WITHDRAWN}
    assert isinstance(Waits(store.database).answer(opened[1].id, EVERYTHING, APPROVE, ANN), Closed)
    assert store.state(rerouted) == State.QUEUED


def test_a_job_has_one_open_wait_whatever_is_written_twice(store: Store) -> None:
    first = a_wait()
    job_id = parked(store, first)
    store.backdate(job_id, run_at=1)
    store.update_job(job_id, state=State.QUEUED, run_at=None)  # as a release without wait points wakes it
    [job] = store.claim([job_id])
    again = settlement(job, Transition.PARK, delay=60.0)
    again.stage, again.wait = Stage.GUARD, a_wait()
    assert store.settle(again)
    assert [each.id for each in Waits(store.database).page(WaitFilter(job_id=job_id), EVERYTHING, 10)] == [first.id]


def test_others_waits_do_not_exist(store: Store) -> None:
    wait = a_wait()
    parked(store, wait)
    found, other = Waits(store.database), Scope("other")
    assert found.get(wait.id, other) is None
    assert found.answer(wait.id, other, APPROVE, BOB) is None
    assert found.page(WaitFilter(), other, 10) == []
    assert the_wait(store, wait.id).state is WaitState.OPEN


def asked(run_id: str = "night-1", default: Answer | None = None) -> AskedOfRun:
    return AskedOfRun(run_id, WaitKind.SIGNAL, "paid", "was it paid?", 3600.0, default)


def opened(answer: Wait | None) -> Wait:
    assert isinstance(answer, Wait)
    return answer


def listed(found: Waits, wanted: WaitFilter) -> Sequence[str]:
    return [each.id for each in found.page(wanted, Scope("acme"), 10)]


def test_a_run_waits_without_a_job(store: Store) -> None:
    found = Waits(store.database)
    first, second = (opened(found.open(asked(), ACME, ANN)) for _ in range(2))
    payload = {"payload": {"amount": "12.50"}}
    outcome = found.answer(first.id, EVERYTHING, payload, BOB)
    assert isinstance(outcome, Answered)
    assert (outcome.work_item, outcome.wait.answer, outcome.wait.answered_by) == (None, payload, "bob")
    assert listed(found, WaitFilter(run_id="night-1")) == [second.id, first.id]
    assert listed(found, WaitFilter(state=WaitState.OPEN)) == [second.id]
    assert listed(found, WaitFilter(before=second.id)) == [first.id]


def test_the_default_of_a_runs_wait_holds_by_the_sweeper(store: Store) -> None:
    found = Waits(store.database)
    late, none, early = (
        opened(found.open(asked(default=default), ACME, ANN)) for default in ({"payload": {"ok": True}}, None, None)
    )
    assert store.sweeps.time_out_waits() == []
    store.update(waits, waits.c.id.in_([late.id, none.id]), deadline=utc_in(sa.literal(-1.0)))
    assert sorted(store.sweeps.time_out_waits()) == sorted([late.id, none.id])
    assert the_wait(store, late.id).answer == {"payload": {"ok": True}}
    assert (the_wait(store, none.id).answer, the_wait(store, none.id).state) == (None, WaitState.TIMED_OUT)
    assert the_wait(store, early.id).state is WaitState.OPEN


def test_asking_again_under_the_same_key_opens_no_second_one(store: Store) -> None:
    found = Waits(store.database)
    first = opened(found.open(asked(), ACME, once("same")))
    with pytest.raises(MadeBeforeError) as before:
        found.open(asked(), ACME, once("same"))
    assert before.value.made == first.id
    with pytest.raises(KeyReusedError):
        found.open(asked(), ACME, once("other"))
    assert listed(found, WaitFilter(run_id="night-1")) == [first.id]


def test_jobs_without_a_wait_are_woken_as_ever(store: Store) -> None:
    job = store.claimed(new_job())
    assert store.settle(settlement(job, Transition.PARK, delay=60.0))
    store.backdate(job.id, run_at=1)
    assert [item.id for item in store.sweeps.wake_due()] == [job.id]
    assert store.state(job.id) == State.QUEUED
