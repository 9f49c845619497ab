"""What the start of an attempt promises: it is booked before the call, once, and only under a claim that holds."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from synthralos.domain.attempts import Outcome
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Claim
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.scope import EVERYTHING as ANYWHERE
from synthralos.domain.states import Transition
from synthralos.domain.writes import Written
from tests.fakes.jobs import deployment, new_job, plan, settlement, start
from tests.fakes.stores import Store


def test_a_started_attempt_is_on_the_books_before_its_call(store: Store) -> None:
    job = store.claimed()
    job.verdict = Verdict(Decision.ALLOW)
    before = store.now()
    assert store.settlements.start([replace(start(job), reserved=Decimal("0.000000000001"))]) == [Written.DONE]
    [attempt] = store.attempts(job.id)
    assert attempt["outcome"] == Outcome.OPEN
    assert (attempt["attempt_no"], attempt["worker_id"]) == (1, job.claim.worker_id)
    assert attempt["claim_no"] == job.claim.claim_no
    assert (attempt["deployment"], attempt["region"]) == (deployment().id, "eu")
    assert attempt["reserved_picousd"] == Decimal("0.000000000001")
    assert attempt["ended_at"] is None
    assert before - timedelta(seconds=1) <= attempt["started_at"] <= store.now()
    row = store.view(job.id)
    assert (row["state"], row["stage"], row["attempts"]) == ("active", "execute", 1)
    assert RoutingPlan.from_json(row["plan"]) == plan()
    assert row["verdict"] == {"decision": "allow", "findings": []}
    assert store.cost_logs(job.id) == []


def test_an_unknown_reservation_is_unknown(store: Store) -> None:
    job = store.started(reserved=None)
    assert store.attempts(job.id)[0]["reserved_picousd"] is None


def test_repeating_a_start_whose_commit_was_in_doubt_changes_nothing(store: Store) -> None:
    job = store.claimed()
    again = start(job)
    assert store.settlements.start([again]) == [Written.DONE]
    first = store.attempts(job.id), store.job(job.id)
    assert store.settlements.start([again]) == [Written.DONE]
    assert (store.attempts(job.id), store.job(job.id)) == first


def test_no_attempt_begins_under_a_claim_that_does_not_hold(store: Store) -> None:
    job = store.claimed()
    others = [
        replace(job, claim=Claim(job.claim.worker_id, job.claim.claim_no + 1)),
        replace(job, claim=Claim(store.worker(), job.claim.claim_no)),
        replace(job, id=new_id()),
    ]
    assert store.settlements.start([start(other) for other in others]) == [Written.CLAIM_LOST] * 3
    assert store.attempts(job.id) == []
    assert store.job(job.id)["attempts"] == 0


@pytest.mark.parametrize("end", ["settled", "cancelled", "rerouted", "abandoned"])
def test_no_attempt_begins_for_a_job_that_moved_on(store: Store, end: str) -> None:
    job = store.claimed()
    if end == "settled":
        store.settle(settlement(job))
    elif end == "cancelled":
        store.operations.cancel(job.id, ANYWHERE, "ann")
    elif end == "rerouted":
        store.operations.reroute(job.id, ANYWHERE, "ann", {})
    else:
        store.lose(job.claim.worker_id)
        store.sweeps.rescue()
    assert store.settlements.start([start(job)]) == [Written.CLAIM_LOST]
    assert store.attempts(job.id) == []


def test_in_one_batch_only_the_claims_that_hold_begin(store: Store) -> None:
    """The old claim's start may stand beside the new one's, of the same job and in the same worker."""
    worker = store.worker()
    old = store.claimed(worker=worker)
    store.settle(settlement(old, Transition.RELEASE))
    [new] = store.claim([old.id], worker)
    other = store.claimed(worker=worker)
    assert store.settlements.start([start(old), start(other), start(new)]) == [
        Written.CLAIM_LOST,
        Written.DONE,
        Written.DONE,
    ]
    assert store.attempts(new.id)[0]["claim_no"] == new.claim.claim_no


def test_a_thousand_starts_at_once(store: Store) -> None:
    many = store.claim(store.submit(*[new_job() for _ in range(1000)]))
    assert store.settlements.start([start(job) for job in many]) == [Written.DONE] * 1000
    assert len(store.open_attempts()) == 1000
