"""Agent runs in the store: steps by name and input, newest success first."""

from decimal import Decimal
from typing import Any

from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import NewJob, Tenant
from synthralos.domain.runs import RunState
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import State, Transition
from synthralos.store.read.runs import Runs
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store

DOWN = Failure(FailureClass.OVERLOADED, "try later").to_json()


def _step(name: str | None, text: str = "Hello", **more: Any) -> NewJob:
    return new_job(text, run_id="night", metadata={} if name is None else {"step": name}, **more)


def _ended(store: Store, job: NewJob, transition: Transition = Transition.SUCCEED) -> str:
    started = store.started(job)
    failure = DOWN if transition is Transition.FAIL else None
    assert store.settle(settlement(started, transition, attempt=attempt_end(1), failure=failure))
    return job.id


def test_a_step_is_its_name_and_its_input(store: Store) -> None:
    plan = _ended(store, _step("plan"))
    failed = _ended(store, _step("write"), Transition.FAIL)
    other_input = _ended(store, _step("write", "Hello again"))
    renamed = _ended(store, _step("draft"))
    unnamed = [_ended(store, _step(None)) for _ in range(2)]
    run = Runs(store.database).read("night", EVERYTHING)
    assert run is not None
    assert [step.job.id for step in run.steps] == [plan, failed, other_input, renamed, *unnamed]
    assert run.state is RunState.FAILED
    assert [step.job.id for step in run.recoverable] == [failed]
    assert run.missing(["plan", "check"]) == ["check"]
    assert sum(job.cost for job in run.jobs) > Decimal(0)


def test_a_step_that_succeeded_once_is_done_whatever_came_after(store: Store) -> None:
    first = _ended(store, _step("write"), Transition.FAIL)
    done = _ended(store, _step("write"))
    _ended(store, _step("write"), Transition.FAIL)
    run = Runs(store.database).read("night", EVERYTHING)
    assert run is not None
    [step] = run.steps
    assert (step.job.id, step.jobs[0].id, len(step.jobs)) == (done, first, 3)
    assert run.state is RunState.SUCCEEDED
    assert run.recoverable == []


def test_an_open_job_keeps_it_running_and_others_see_nothing(store: Store) -> None:
    store.submit(_step("plan", tenant=Tenant("acme", "main")))
    runs = Runs(store.database)
    run = runs.read("night", Scope("acme"))
    assert run is not None
    assert (run.state, run.steps[0].job.state) == (RunState.RUNNING, State.QUEUED)
    assert runs.read("night", Scope("other")) is None
    assert runs.read("day", EVERYTHING) is None


def test_only_the_newest_jobs_are_looked_at(store: Store) -> None:
    ids = store.submit(*(_step(f"step {n}") for n in range(5)))
    run = Runs(store.database).read("night", EVERYTHING, most=3)
    assert run is not None
    assert run.more
    assert [job.id for job in run.jobs] == sorted(ids)[2:]
