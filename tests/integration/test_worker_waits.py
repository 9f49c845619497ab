"""Wait points on real workers: a policy's approval, a job's own signal; asked once, and what became of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.analyze.trace import job_view
from synthralos.control.answering import Answering
from synthralos.control.operator import Actor
from synthralos.core import Core
from synthralos.domain.jobs import Constraints
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage, State
from synthralos.domain.waits import APPROVE, DENY, Wait, WaitFor, WaitKind, WaitState
from synthralos.store.queue.waits import Answered, WaitFilter, Waits
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

ANN = Actor("ann", EVERYTHING, "go ahead")


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def approval(rule: str = "one", version: int = 3, **more: Any) -> PolicySet:
    then = [{"action": "require_approval", "by": "legal", **more}]
    return PolicySet.from_json(
        {"id": f"0199-{rule}", "name": "ours", "version": version, "rules": [{"id": rule, "then": then}]}
    )


def started(place: WorkerPlace, *policies: PolicySet) -> Core:
    core = place.core(policies=policies)
    place.start(core)
    return core


def waits_of(place: WorkerPlace, job_id: str) -> list[Wait]:
    return Waits(place.store.database).page(WaitFilter(job_id=job_id), EVERYTHING, 10)


def waited_for(place: WorkerPlace, job_id: str) -> str:
    told: str = job_view(place.store.view(job_id), detail=True)["waits_for"]
    return told


def answering(place: WorkerPlace, core: Core) -> Answering:
    return Answering(Waits(place.store.database), core.doorbell, core.bus)


def test_an_approved_job_goes_on_and_is_not_asked_about_again(place: WorkerPlace) -> None:
    core = started(place, approval("one", within_seconds=600), approval("two", within_seconds=60))
    [job_id] = place.submit(new_job())
    place.reaches(job_id, State.PARKED)
    [wait] = waits_of(place, job_id)
    assert (wait.kind, wait.name, wait.state, wait.default) == (WaitKind.APPROVAL, "legal", WaitState.OPEN, DENY)
    assert 0 < (wait.deadline - wait.opened_at).total_seconds() <= 61
    assert "legal" in waited_for(place, job_id)
    assert isinstance(answering(place, core).answer(wait.id, APPROVE, ANN), Answered)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert len(waits_of(place, job_id)) == 1
    findings = place.store.job(job_id)["verdict"]["findings"]
    assert all("approved by ann" in finding["reason"] for finding in findings)
    kinds = [event["kind"] for event in place.store.events(job_id)]
    assert kinds == ["wait.opened", "wait.answered"]


def test_a_denied_job_ends_without_a_call(place: WorkerPlace) -> None:
    core = started(place, approval())
    [job_id] = place.submit(new_job())
    place.reaches(job_id, State.PARKED)
    [wait] = waits_of(place, job_id)
    answering(place, core).answer(wait.id, DENY, Actor("bob", EVERYTHING, "too dear"))
    assert place.finished(job_id) == [State.DENIED]
    assert place.store.attempts(job_id) == []
    reasons = [finding["reason"] for finding in place.store.job(job_id)["verdict"]["findings"]]
    assert any("denied by bob: too dear" in reason for reason in reasons)


def test_an_approval_is_of_one_version_of_the_set(place: WorkerPlace) -> None:
    started(place, approval(version=3))
    [job_id] = place.submit(new_job())
    place.reaches(job_id, State.PARKED)
    [first] = waits_of(place, job_id)
    core = started(place, approval(version=4))
    answering(place, core).answer(first.id, APPROVE, ANN)
    place.heard.until(lambda: len(waits_of(place, job_id)) == 2)
    assert waits_of(place, job_id)[0].state is WaitState.OPEN


def test_a_default_lets_the_job_go_on(place: WorkerPlace) -> None:
    started(place, approval(default="approve"))
    [job_id] = place.submit(new_job())
    place.reaches(job_id, State.PARKED)
    place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    [wait] = waits_of(place, job_id)
    assert (wait.state, wait.answered_by) == (WaitState.TIMED_OUT, "system")


def test_a_retried_job_that_was_approved_is_not_asked_about_again(place: WorkerPlace) -> None:
    core = started(place, approval())
    [job_id] = place.submit(new_job(provider_options={"sandbox": {"failures": ["invalid_request"]}}))
    place.reaches(job_id, State.PARKED)
    [wait] = waits_of(place, job_id)
    answering(place, core).answer(wait.id, APPROVE, ANN)
    assert place.finished(job_id) == [State.FAILED]
    place.store.operations.retry(job_id, EVERYTHING, "ann")
    place.ring(Stage.GUARD, job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert len(waits_of(place, job_id)) == 1


def test_a_job_waits_for_its_own_signal(place: WorkerPlace) -> None:
    core = started(place)
    held = new_job(constraints=Constraints(wait_for=WaitFor("paid", 3600.0)))
    [job_id] = place.submit(held)
    place.reaches(job_id, State.PARKED)
    [wait] = waits_of(place, job_id)
    assert (wait.kind, wait.name, wait.default) == (WaitKind.SIGNAL, "paid", None)
    assert "paid" in waited_for(place, job_id)
    answering(place, core).answer(wait.id, {"payload": {"invoice": 7}}, ANN)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert waits_of(place, job_id)[0].answer == {"payload": {"invoice": 7}}


@pytest.mark.parametrize(("default", "state"), [("continue", State.SUCCEEDED), ("deny", State.DENIED)])
def test_a_signal_that_does_not_come_has_its_default(place: WorkerPlace, default: Any, state: State) -> None:
    started(place)
    [job_id] = place.submit(new_job(constraints=Constraints(wait_for=WaitFor("paid", 3600.0, default))))
    place.reaches(job_id, State.PARKED)
    place.wake(job_id)
    assert place.finished(job_id) == [state]
