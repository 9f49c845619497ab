"""The conveyor: every slot that a batch took is given back or goes along with a job, whatever happens on the way."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.flow.conveyor import Conveyor
from pipelines.flow.registry import Registry
from pipelines.flow.slots import Slots
from pipelines.flow.work import Work
from pipelines.guard.stage import GuardStage
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Job
from synthralos.domain.states import Lane, Stage, Transition
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan

CATALOG = Catalog([a_deployment()])
MEGABYTE = 1_000_000


class Flight:
    """Slots, and the batches that were launched and stay under way."""

    def __init__(self, slots: int) -> None:
        self.slots = Slots(slots, 1000 * MEGABYTE)
        self.registry = Registry()
        self.batches: list[list[Work]] = []
        self.turned_away: list[tuple[Stage, Lane, Sequence[str]]] = []

    def turn_away(self, stage: Stage, lane: Lane, job_ids: Sequence[str]) -> None:
        """Take them down."""
        self.turned_away.append((stage, lane, job_ids))

    def launch(self, works: Sequence[Work]) -> None:
        """Take them down."""
        self.batches.append(list(works))

    def works(self) -> dict[str, Work]:
        """Everybody who was launched, by job id."""
        return {work.job.id: work for batch in self.batches for work in batch}


class Queue:
    """Jobs to take: each once, at its stage."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.ids = list(self.jobs)
        self.doubted: list[bool] = []

    def take(self, stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
        """As the store does it."""
        self.doubted.append(doubtful)
        return [self.jobs.pop(job_id) for job_id in job_ids if job_id in self.jobs]


def conveyor(take: Any, flight: Flight, *, serves: Sequence[Stage] = tuple(Stage), guard: Any = None) -> Conveyor:
    """A conveyor that waits for no slot."""
    route = RouteStage(CATALOG, STRATEGIES, lambda deployment: None)
    return Conveyor(
        frozenset(serves), take, guard or GuardStage([]), route,
        flight.slots, flight.registry, flight.launch, flight.turn_away, lambda: NOON, 0.0,
    )  # fmt: skip


def test_slots_of_jobs_that_were_not_there_are_given_back() -> None:
    queue, flight = Queue(a_job(), a_job()), Flight(10)
    there = list(queue.ids)
    assert conveyor(queue.take, flight).carry(Stage.GUARD, ["gone", *there, "elsewhere"]) == 2
    assert (list(flight.works()), flight.slots.used) == (there, 2)


def test_all_slots_are_given_back_when_the_jobs_cannot_be_taken() -> None:
    def take(stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
        raise ConnectionError

    flight = Flight(10)
    with pytest.raises(ConnectionError):
        conveyor(take, flight).carry(Stage.GUARD, ["a", "b", "c"])
    assert (flight.slots.used, flight.slots.bytes_used, flight.batches) == (0, 0, [])


def test_nothing_is_taken_once_the_slots_are_closed() -> None:
    queue, flight = Queue(a_job()), Flight(10)
    flight.slots.close()
    assert conveyor(queue.take, flight).carry(Stage.GUARD, queue.ids) == 0
    assert len(queue.jobs) == 1


def test_a_batch_that_finds_no_slot_in_time_stays_queued() -> None:
    queue, flight = Queue(*[a_job() for _ in range(7)]), Flight(4)
    assert conveyor(queue.take, flight).carry(Stage.GUARD, queue.ids) == 3
    assert (len(queue.jobs), flight.slots.used) == (4, 3)
    assert flight.turned_away == [(Stage.GUARD, Lane.BULK, queue.ids[3:])]


def test_a_person_finds_a_slot_where_bulk_jobs_have_taken_all_of_theirs() -> None:
    queue, flight = Queue(*[a_job() for _ in range(4)]), Flight(4)
    carry = conveyor(queue.take, flight).carry
    assert carry(Stage.GUARD, queue.ids[:3]) == 3
    assert carry(Stage.GUARD, queue.ids[3:]) == 0
    assert carry(Stage.GUARD, queue.ids[3:], lane=Lane.INTERACTIVE) == 1
    assert flight.batches[-1][0].lane is Lane.INTERACTIVE


def test_heal_does_not_wait_for_slots() -> None:
    queue, flight = Queue(a_job(), a_job()), Flight(2)
    carry = conveyor(queue.take, flight).carry
    assert carry(Stage.GUARD, queue.ids[:1]) == 1
    assert carry(Stage.HEAL, queue.ids[1:]) == 1
    assert flight.slots.used == 2


def test_a_batch_larger_than_the_slots_goes_in_parts() -> None:
    queue = Queue(*[a_job() for _ in range(7)])

    class Shuttle(Flight):
        def launch(self, works: Sequence[Work]) -> None:
            super().launch(works)
            for work in works:
                self.slots.release(work.lane, 1, work.job.size)

    flight = Shuttle(4)
    assert conveyor(queue.take, flight).carry(Stage.GUARD, queue.ids) == 7
    assert [len(batch) for batch in flight.batches] == [3, 3, 1]
    assert list(flight.works()) == queue.ids
    assert flight.slots.used == 0


def test_an_empty_message_takes_no_slot() -> None:
    flight = Flight(3)
    assert conveyor(Queue().take, flight).carry(Stage.GUARD, []) == 0
    assert (flight.batches, flight.slots.used) == ([], 0)


def test_the_bytes_of_a_job_count_as_soon_as_they_are_known() -> None:
    job, flight = a_job(), Flight(3)
    job.size = 5 * MEGABYTE
    conveyor(Queue(job).take, flight).carry(Stage.GUARD, [job.id])
    assert flight.slots.bytes_used == 5 * MEGABYTE


def test_a_job_is_under_way_from_the_moment_it_is_taken() -> None:
    job, flight = a_job(), Flight(3)
    seen: list[list[tuple[str, int]]] = []

    class Looking:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            seen.append(flight.registry.under_way())
            return GuardStage([]).inspect(jobs)

    conveyor(Queue(job).take, flight, guard=Looking()).carry(Stage.GUARD, [job.id])
    assert seen == [[(job.id, 1)]] == [flight.registry.under_way()]


def test_a_batch_whose_thread_is_interrupted_is_not_under_way_any_more() -> None:
    class Interrupted:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            raise KeyboardInterrupt

    queue, flight = Queue(a_job()), Flight(3)
    with pytest.raises(KeyboardInterrupt):
        conveyor(queue.take, flight, guard=Interrupted()).carry(Stage.GUARD, queue.ids)
    assert (flight.registry.under_way(), flight.slots.used, flight.slots.bytes_used) == ([], 0, 0)


def test_a_doubtful_message_is_taken_as_such() -> None:
    queue, flight = Queue(a_job()), Flight(3)
    conveyor(queue.take, flight).carry(Stage.GUARD, queue.ids, doubtful=True)
    assert queue.doubted == [True]


def test_a_job_leaves_where_the_next_stage_is_served_elsewhere() -> None:
    queue, flight = Queue(a_job()), Flight(2)
    conveyor(queue.take, flight, serves=[Stage.GUARD]).carry(Stage.GUARD, queue.ids)
    [work] = flight.works().values()
    assert work.ending is not None
    assert (work.ending.transition, work.ending.stage) == (Transition.HAND_OVER, Stage.ROUTE)
    assert work.job.plan is None


def test_a_job_at_heal_brings_its_failure_and_one_without_is_our_own_bug() -> None:
    told, untold = a_job(routing=a_plan("openai/gpt-4o@us")), a_job()
    told.failure = {"class": "timeout", "message": "no answer"}
    queue, flight = Queue(told, untold), Flight(3)
    conveyor(queue.take, flight).carry(Stage.HEAL, queue.ids)
    failures = [work.failure.failure_class for work in flight.works().values() if work.failure is not None]
    assert failures == [FailureClass.TIMEOUT, FailureClass.INTERNAL]


def test_a_bug_in_a_stage_is_a_failure_of_its_jobs_and_none_is_left_behind() -> None:
    class Broken:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            raise ZeroDivisionError

    queue, flight = Queue(*[a_job() for _ in range(3)]), Flight(10)
    conveyor(queue.take, flight, guard=Broken()).carry(Stage.GUARD, queue.ids)
    classes = {work.failure.failure_class for work in flight.works().values() if work.failure is not None}
    assert (len(flight.works()), flight.slots.used) == (len(queue.ids), len(queue.ids))
    assert classes == {FailureClass.INTERNAL}
