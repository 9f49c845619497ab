"""The conveyor's seats: every seat that a batch took is given back or flown, whatever happens on the way."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.flow.conveyor import Conveyor
from pipelines.flow.work import Work
from pipelines.guard.stage import GuardStage
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Job
from synthralos.domain.states import Stage, Transition
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan

CATALOG = Catalog([a_deployment()])


class Seats:
    """A flight that keeps count and never departs."""

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self.taken = 0
        self.closed = False
        self.batches: list[list[Work]] = []

    def board(self, seats: int) -> bool:
        """See `InFlight.board`."""
        assert seats <= self.seats - self.taken, "this test would wait for ever"
        if not self.closed:
            self.taken += seats
        return not self.closed

    def vacate(self, seats: int) -> None:
        """See `InFlight.vacate`."""
        self.taken -= seats

    def depart(self, works: Sequence[Work]) -> None:
        """Take them down."""
        self.batches.append(list(works))

    def works(self) -> dict[str, Work]:
        """Everybody who departed, by job id."""
        return {work.job.id: work for batch in self.batches for work in batch}


class Queue:
    """Jobs to claim: each once, at its stage."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.ids = list(self.jobs)

    def claim(self, stage: Stage, job_ids: Sequence[str]) -> list[Job]:
        """As the store does it."""
        return [self.jobs.pop(job_id) for job_id in job_ids if job_id in self.jobs]


def conveyor(claim: Any, flight: Seats, *, serves: Sequence[Stage] = tuple(Stage), guard: Any = None) -> Conveyor:
    route = RouteStage(CATALOG, STRATEGIES, lambda deployment: None)
    return Conveyor(frozenset(serves), claim, guard or GuardStage([]), route, flight, lambda: NOON)


def test_seats_of_jobs_that_were_not_there_are_given_back() -> None:
    queue, flight = Queue(a_job(), a_job()), Seats(10)
    there = list(queue.ids)
    assert conveyor(queue.claim, flight).carry(Stage.GUARD, ["gone", *there, "elsewhere"]) == 2
    assert (list(flight.works()), flight.taken) == (there, 2)


def test_all_seats_are_given_back_when_the_claim_fails() -> None:
    def claim(stage: Stage, job_ids: Sequence[str]) -> list[Job]:
        raise ConnectionError

    flight = Seats(10)
    with pytest.raises(ConnectionError):
        conveyor(claim, flight).carry(Stage.GUARD, ["a", "b", "c"])
    assert (flight.taken, flight.batches) == (0, [])


def test_nothing_is_claimed_once_the_flight_is_closed() -> None:
    queue, flight = Queue(a_job()), Seats(10)
    flight.closed = True
    assert conveyor(queue.claim, flight).carry(Stage.GUARD, queue.ids) == 0
    assert len(queue.jobs) == 1


def test_a_batch_larger_than_the_flight_goes_in_parts() -> None:
    queue = Queue(*[a_job() for _ in range(7)])

    class Shuttle(Seats):
        def depart(self, works: Sequence[Work]) -> None:
            super().depart(works)
            self.vacate(len(works))

    flight = Shuttle(3)
    assert conveyor(queue.claim, flight).carry(Stage.GUARD, queue.ids) == 7
    assert [len(batch) for batch in flight.batches] == [3, 3, 1]
    assert list(flight.works()) == queue.ids
    assert flight.taken == 0


def test_an_empty_message_takes_no_seat() -> None:
    flight = Seats(3)
    assert conveyor(Queue().claim, flight).carry(Stage.GUARD, []) == 0
    assert flight.batches == []


def test_a_job_leaves_where_the_next_stage_is_served_elsewhere() -> None:
    queue, flight = Queue(a_job()), Seats(1)
    conveyor(queue.claim, flight, serves=[Stage.GUARD]).carry(Stage.GUARD, queue.ids)
    [work] = flight.works().values()
    assert work.ending is not None
    assert (work.ending.transition, work.ending.stage) == (Transition.HAND_OVER, Stage.ROUTE)
    assert work.job.plan is None


def test_a_job_at_heal_brings_its_failure_and_one_without_is_our_own_bug() -> None:
    told, untold = a_job(routing=a_plan("openai/gpt-4o@us")), a_job()
    told.failure = {"class": "timeout", "message": "no answer"}
    queue, flight = Queue(told, untold), Seats(2)
    conveyor(queue.claim, flight).carry(Stage.HEAL, queue.ids)
    failures = [work.failure.failure_class for work in flight.works().values() if work.failure is not None]
    assert failures == [FailureClass.TIMEOUT, FailureClass.INTERNAL]


def test_a_bug_in_a_stage_is_a_failure_of_its_jobs_and_none_is_left_behind() -> None:
    class Broken:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            raise ZeroDivisionError

    queue, flight = Queue(*[a_job() for _ in range(3)]), Seats(10)
    conveyor(queue.claim, flight, guard=Broken()).carry(Stage.GUARD, queue.ids)
    classes = {work.failure.failure_class for work in flight.works().values() if work.failure is not None}
    assert (len(flight.works()), flight.taken, classes) == (len(queue.ids), len(queue.ids), {FailureClass.INTERNAL})
