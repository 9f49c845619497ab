"""What operators do: cancel, retry, reroute. Within their scope, from the states that allow it, always on record."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import TERMINAL, Lane, Stage, State, Transition, sources
from synthralos.domain.work_items import WorkItem
from synthralos.domain.writes import Written
from synthralos.store.queue.operations import Changed, Operations, Refused
from tests.fakes.jobs import ACME, attempt_end, failure, new_job, settlement, start
from tests.fakes.stores import Store

Operate = Callable[[Operations, str, Scope], Changed | Refused | None]

OPERATIONS: dict[Transition, Operate] = {
    Transition.CANCEL: lambda operations, job_id, scope: operations.cancel(job_id, scope, "ann", "enough"),
    Transition.RETRY: lambda operations, job_id, scope: operations.retry(job_id, scope, "ann", "again"),
    Transition.REROUTE: lambda operations, job_id, scope: operations.reroute(job_id, scope, "ann", {"region": "eu"}),
}
ENDED_BY = {
    State.SUCCEEDED: Transition.SUCCEED,
    State.DENIED: Transition.DENY,
    State.FAILED: Transition.FAIL,
    State.EXPIRED: Transition.EXPIRE,
    State.CANCELLED: Transition.CANCEL,
    State.PARKED: Transition.PARK,
}


def job_in(store: Store, state: State, **more: Any) -> str:
    """A job in that state."""
    if state is State.QUEUED:
        return store.submit(new_job(**more))[0]
    job = store.started(new_job(**more))
    if state is not State.ACTIVE:
        end = attempt_end(1, Outcome.FAILED)
        store.settle(settlement(job, ENDED_BY[state], attempt=end, failure=failure().to_json()))
    assert store.state(job.id) == state
    return job.id


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("transition", OPERATIONS)
def test_an_operation_is_done_or_refused_as_the_table_says(store: Store, transition: Transition, state: State) -> None:
    job_id = job_in(store, state)
    before = store.job(job_id), store.events(job_id)
    outcome = OPERATIONS[transition](store.operations, job_id, EVERYTHING)
    if state not in sources(transition):
        assert outcome == Refused(transition, state)
        assert (store.job(job_id), store.events(job_id)) == before
        return
    assert isinstance(outcome, Changed)
    [event] = store.events(job_id)
    assert (event["kind"], event["actor"], event["data"]["from"]) == (transition, "ann", state)
    assert store.state(job_id) == outcome.state


@pytest.mark.parametrize("transition", OPERATIONS)
@pytest.mark.parametrize(
    "scope", [Scope("other"), Scope("acme", "other"), Scope("acme", "main", "bob"), Scope(user="bob")]
)
def test_nobody_moves_a_job_outside_their_scope(store: Store, transition: Transition, scope: Scope) -> None:
    job_id = job_in(store, State.FAILED if transition is Transition.RETRY else State.QUEUED)
    before = store.job(job_id)
    assert OPERATIONS[transition](store.operations, job_id, scope) is None
    assert store.job(job_id) == before
    assert store.events(job_id) == []


@pytest.mark.parametrize("scope", [EVERYTHING, Scope("acme"), Scope("acme", "main"), Scope("acme", "main", "ann")])
def test_who_may_see_a_job_may_move_it(store: Store, scope: Scope) -> None:
    assert isinstance(store.operations.cancel(job_in(store, State.QUEUED), scope, "ann"), Changed)


def test_a_job_that_does_not_exist_is_not_moved(store: Store) -> None:
    assert [operate(store.operations, new_id(), EVERYTHING) for operate in OPERATIONS.values()] == [None] * 3


def test_a_cancelled_job_is_over_and_rings_analyze(store: Store) -> None:
    job_id = job_in(store, State.PARKED, lane=Lane.INTERACTIVE)
    outcome = store.operations.cancel(job_id, EVERYTHING, "ann", "enough")
    assert outcome == Changed(State.CANCELLED, WorkItem(job_id, Stage.ANALYZE, Lane.INTERACTIVE))
    row = store.job(job_id)
    assert (row["worker_id"], row["run_at"]) == (None, None)
    assert row["finished_at"] is not None
    assert store.events(job_id)[0]["data"]["reason"] == "enough"


@pytest.mark.parametrize("transition", [Transition.CANCEL, Transition.REROUTE])
def test_the_running_call_of_a_job_that_is_taken_is_booked_as_maybe_billed(
    store: Store, transition: Transition
) -> None:
    job = store.started()
    OPERATIONS[transition](store.operations, job.id, EVERYTHING)
    [attempt], [line] = store.attempts(job.id), store.cost_logs(job.id)
    assert (attempt["outcome"], attempt["billed"], line["billed"]) == (Outcome.LOST, Billed.MAYBE, Billed.MAYBE)
    assert (line["cost_picousd"], line["deployment"]) == (None, attempt["deployment"])
    assert store.open_attempts() == []


def test_the_result_of_a_call_of_a_cancelled_job_is_booked_and_not_used(store: Store) -> None:
    job = store.started()
    store.operations.cancel(job.id, EVERYTHING, "ann")
    assert not store.settle(settlement(job, attempt=attempt_end(1)))
    assert store.view(job.id)["result"] is None
    assert store.attempts(job.id)[0]["outcome"] == Outcome.SUCCEEDED
    assert len(store.cost_logs(job.id)) == 1


@pytest.mark.parametrize("state", sorted(TERMINAL - {State.SUCCEEDED}))
def test_a_retried_job_starts_anew_with_its_history_kept(store: Store, state: State) -> None:
    job_id = job_in(store, state)
    store.update_job(job_id, losses=2)
    outcome = store.operations.retry(job_id, EVERYTHING, "ann", "again")
    assert outcome == Changed(State.QUEUED, WorkItem(job_id, Stage.GUARD, Lane.BULK))
    row = store.job(job_id)
    assert (row["stage"], row["losses"], row["attempts"], row["retry_base"]) == ("guard", 0, 1, 1)
    assert (row["failure"], row["finished_at"], row["analyzed_at"]) == (None, None, None)
    assert store.view(job_id)["plan"] is None
    kept = store.events(job_id)[0]["data"]
    assert (kept["reason"], kept["from"], kept["failure"]) == ("again", state, failure().to_json())
    assert store.reader.histories([job_id]) == {job_id: []}
    [again] = store.claim([job_id])
    assert store.settlements.start([start(again)]) == [Written.DONE]
    store.settle(settlement(again, attempt=attempt_end(2)))
    assert [attempt["attempt_no"] for attempt in store.attempts(job_id)] == [1, 2]
    assert [past.attempt_no for past in store.reader.histories([job_id])[job_id]] == [2]


def test_the_worker_of_a_job_that_was_cancelled_and_retried_has_lost_it(store: Store) -> None:
    worker = store.worker()
    old = store.started(worker=worker)
    store.operations.cancel(old.id, EVERYTHING, "ann")
    store.operations.retry(old.id, EVERYTHING, "ann")
    [new] = store.claim([old.id], worker)
    assert new.claim.claim_no > old.claim.claim_no
    assert not store.settle(settlement(old, attempt=attempt_end(1)))
    assert store.settle(settlement(new))


@pytest.mark.parametrize(("ahead", "kept"), [(timedelta(hours=1), True), (timedelta(hours=-1), False)])
@pytest.mark.parametrize("transition", [Transition.RETRY, Transition.REROUTE])
def test_a_deadline_that_has_passed_is_dropped(
    store: Store, transition: Transition, ahead: timedelta, kept: bool
) -> None:
    deadline = datetime.now(UTC) + ahead
    job_id = job_in(store, State.FAILED, deadline=deadline)
    OPERATIONS[transition](store.operations, job_id, EVERYTHING)
    assert store.job(job_id)["deadline"] == (deadline if kept else None)


def test_a_rerouted_job_is_taken_from_its_worker(store: Store) -> None:
    job = store.started()
    outcome = store.operations.reroute(job.id, EVERYTHING, "ann", {"exclude": ["sandbox/small@eu"]}, "slow")
    assert outcome == Changed(State.QUEUED, WorkItem(job.id, Stage.ROUTE, Lane.BULK))
    assert not store.settle(settlement(job, attempt=attempt_end(1)))
    row = store.job(job.id)
    assert (row["state"], row["worker_id"], row["retry_base"]) == ("queued", None, 1)


@pytest.mark.parametrize("state", sorted(sources(Transition.REROUTE)))
def test_a_reroute_leads_around_no_guard(store: Store, state: State) -> None:
    """A job that was never let through, or was denied, is guarded first; one that had a plan is routed at once."""
    outcome = store.operations.reroute(job_in(store, state), EVERYTHING, "ann", {"region": "eu"})
    assert isinstance(outcome, Changed)
    planned = state not in (State.QUEUED, State.DENIED)
    assert outcome.work_item.stage is (Stage.ROUTE if planned else Stage.GUARD)
    assert store.job(outcome.work_item.id)["stage"] == outcome.work_item.stage
    if not planned:
        assert store.job(outcome.work_item.id)["verdict"] is None


@pytest.mark.parametrize("ending", [Transition.PARK, Transition.DENY, Transition.FAIL])
def test_a_reroute_leads_around_no_guard_where_a_worker_had_the_job(store: Store, ending: Transition) -> None:
    job = store.claimed(new_job())
    store.settle(settlement(job, ending, stage=Stage.GUARD, delay=60.0))
    outcome = store.operations.reroute(job.id, EVERYTHING, "ann", {"region": "eu"})
    assert outcome == Changed(State.QUEUED, WorkItem(job.id, Stage.GUARD, Lane.BULK))


def test_a_reroute_lays_its_changes_over_the_constraints(store: Store) -> None:
    wanted = Constraints("us", "eu", "pinned", max_attempts=3, exclude=("a/b@us",))
    job_id = job_in(store, State.QUEUED, constraints=wanted)
    store.operations.reroute(job_id, EVERYTHING, "ann", {"region": None, "strategy": "cheapest"})
    changed = Constraints.from_json(store.view(job_id)["constraints"])
    assert changed == Constraints(None, "eu", "cheapest", max_attempts=3, exclude=("a/b@us",))
    assert store.events(job_id)[0]["data"]["changes"] == {"region": None, "strategy": "cheapest"}


def test_a_reroute_without_changes_keeps_the_constraints(store: Store) -> None:
    job_id = job_in(store, State.FAILED, constraints=Constraints("eu"))
    store.operations.reroute(job_id, EVERYTHING, "ann", {})
    assert Constraints.from_json(store.view(job_id)["constraints"]) == Constraints("eu")


def test_a_retried_job_is_expired_again_only_by_a_deadline_ahead(store: Store) -> None:
    [job_id] = store.submit(new_job(deadline=datetime.now(UTC) - timedelta(seconds=5)))
    store.sweeps.expire()
    store.operations.retry(job_id, EVERYTHING, "ann")
    assert store.sweeps.expire() == []
    assert store.state(job_id) == "queued"


def test_an_operation_is_recorded_for_its_organization(store: Store) -> None:
    tenant = Tenant("größe 🏢", ACME.workspace)
    [job_id] = store.submit(new_job(tenant=tenant))
    store.operations.cancel(job_id, EVERYTHING, "key:🔑", 'weil\'s "so" ist')
    [event] = store.events(job_id)
    assert (event["organization"], event["actor"]) == ("größe 🏢", "key:🔑")
    assert event["data"]["reason"] == 'weil\'s "so" ist'
