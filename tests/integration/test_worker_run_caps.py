"""Caps of agent runs on real workers: what jobs do whose run is over a cap."""

from collections.abc import Iterator
from typing import Any

import pytest

from synthralos.domain.jobs import NewJob
from synthralos.domain.run_caps import CapsUse, RunCaps
from synthralos.domain.states import State
from synthralos.store.admin.audit import By
from synthralos.store.admin.run_caps import RunCapsStore
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, worker_place

BY = By("test")


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def cap(place: WorkerPlace, **caps: Any) -> RunCaps:
    done = RunCapsStore(place.store.database).put(RunCaps("acme", "night", **caps), None, BY)
    assert done is not None
    return done.caps


def used(place: WorkerPlace) -> CapsUse:
    [found] = RunCapsStore(place.store.database).of_run("night", "acme")
    return found


def step(name: str) -> NewJob:
    return new_job("Where is it?", run_id="night", metadata={"step": name})


def test_a_job_over_its_runs_calls_fails_and_goes_on_once_they_are_raised(place: WorkerPlace) -> None:
    place.start(place.core(run_caps=[cap(place, max_calls=1)]))
    assert place.run(step("plan"))["state"] == State.SUCCEEDED
    over = place.run(step("write"))
    assert (over["state"], over["attempts"], over["failure"]["class"]) == (State.FAILED, 0, "budget")
    assert over["failure"]["message"] == used(place).refused_reason
    assert place.run(new_job("Where is it?"))["state"] == State.SUCCEEDED
    cap(place, max_calls=2)
    assert place.run(step("write"))["state"] == State.SUCCEEDED
    assert used(place).calls == 2


def test_a_run_that_goes_round_is_stopped(place: WorkerPlace) -> None:
    place.start(place.core(run_caps=[cap(place, max_repeats=2)]))
    states = [place.run(step("look"))["state"] for _ in range(3)]
    assert states == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
    assert "goes round" in (used(place).refused_reason or "")
    assert used(place).calls == 2
