"""The conveyor: every slot that a batch took is given back or goes along with a job, whatever happens on the way."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.flow.conveyor import Conveyor
from pipelines.flow.registry import Registry
from pipelines.flow.slots import Slots
from pipelines.flow.work import Work
from pipelines.guard.stage import GuardStage
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass
from synthralos.domain.jobs import Claim, Job
from synthralos.domain.states import Lane, Stage, Transition
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan
from tests.fakes.stages import stages_of

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
        self.held: set[str] = set()
        self.elsewhere: set[str] = set()

    def take(self, stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
        """As the store does it."""
        self.doubted.append(doubtful)
        taken = [self.jobs.pop(job_id) for job_id in job_ids if job_id in self.jobs]
        self.held.update(job.id for job in taken if job.losses)
        self._numbers = {job.id: job.claim.claim_no for job in taken}
        return taken

    def hold(self, stage: Stage, job_ids: Sequence[str]) -> dict[str, Claim]:
        """As the store does it; somebody else has claimed what is `elsewhere`."""
        got = [job_id for job_id in job_ids if job_id not in self.elsewhere | self.held]
        self.held.update(got)
        for job_id in got:
            self._numbers[job_id] += 1
        return {job_id: Claim("w", self._numbers[job_id]) for job_id in got}

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """As the store does it."""
        self.held.difference_update(job_id for job_id, claim in claims if claim.claim_no == self._numbers[job_id])


def conveyor(source: Any, flight: Flight, *, serves: Sequence[Stage] = tuple(Stage), guard: Any = None) -> Conveyor:
    """A conveyor that waits for no slot."""
    stages = stages_of(CATALOG, guard=guard or GuardStage([]))
    return Conveyor(
        frozenset(serves), source, lambda: stages,
        flight.slots, flight.registry, flight.launch, flight.turn_away, lambda: NOON, 0.0,
    )  # fmt: skip


def test_slots_of_jobs_that_were_not_there_are_given_back() -> None:
    queue, flight = Queue(a_job(), a_job()), Flight(10)
    there = list(queue.ids)
    assert conveyor(queue, flight).carry(Stage.GUARD, ["gone", *there, "elsewhere"]) == 2
    assert (list(flight.works()), flight.slots.used) == (there, 2)


def test_all_slots_are_given_back_when_the_jobs_cannot_be_taken() -> None:
    class Away(Queue):
        def take(self, stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
            raise ConnectionError

    flight = Flight(10)
    with pytest.raises(ConnectionError):
        conveyor(Away(), flight).carry(Stage.GUARD, ["a", "b", "c"])
    assert (flight.slots.used, flight.slots.bytes_used, flight.batches) == (0, 0, [])


def test_nothing_is_taken_once_the_slots_are_closed() -> None:
    queue, flight = Queue(a_job()), Flight(10)
    flight.slots.close()
    assert conveyor(queue, flight).carry(Stage.GUARD, queue.ids) == 0
    assert len(queue.jobs) == 1


def test_a_batch_that_finds_no_slot_in_time_stays_queued() -> None:
    queue, flight = Queue(*[a_job() for _ in range(7)]), Flight(4)
    assert conveyor(queue, flight).carry(Stage.GUARD, queue.ids) == 3
    assert (len(queue.jobs), flight.slots.used) == (4, 3)
    assert flight.turned_away == [(Stage.GUARD, Lane.BULK, queue.ids[3:])]


def test_a_person_finds_a_slot_where_bulk_jobs_have_taken_all_of_theirs() -> None:
    queue, flight = Queue(*[a_job() for _ in range(4)]), Flight(4)
    carry = conveyor(queue, flight).carry
    assert carry(Stage.GUARD, queue.ids[:3]) == 3
    assert carry(Stage.GUARD, queue.ids[3:]) == 0
    assert carry(Stage.GUARD, queue.ids[3:], lane=Lane.INTERACTIVE) == 1
    assert flight.batches[-1][0].lane is Lane.INTERACTIVE


def test_heal_does_not_wait_for_slots() -> None:
    queue, flight = Queue(a_job(), a_job()), Flight(2)
    carry = conveyor(queue, flight).carry
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
    assert conveyor(queue, flight).carry(Stage.GUARD, queue.ids) == 7
    assert [len(batch) for batch in flight.batches] == [3, 3, 1]
    assert list(flight.works()) == queue.ids
    assert flight.slots.used == 0


def test_an_empty_message_takes_no_slot() -> None:
    flight = Flight(3)
    assert conveyor(Queue(), flight).carry(Stage.GUARD, []) == 0
    assert (flight.batches, flight.slots.used) == ([], 0)


def test_the_bytes_of_a_job_count_as_soon_as_they_are_known() -> None:
    job, flight = a_job(), Flight(3)
    job.size = 5 * MEGABYTE
    conveyor(Queue(job), flight).carry(Stage.GUARD, [job.id])
    assert flight.slots.bytes_used == 5 * MEGABYTE


def test_a_job_is_under_way_from_the_moment_it_is_taken() -> None:
    job, flight = a_job(), Flight(3)
    seen: list[list[tuple[str, int]]] = []

    class Looking:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            seen.append(flight.registry.under_way())
            return GuardStage([]).inspect(jobs)

    conveyor(Queue(job), flight, guard=Looking()).carry(Stage.GUARD, [job.id])
    assert seen == [[(job.id, 1)]] == [flight.registry.under_way()]


def test_a_batch_whose_thread_is_interrupted_is_not_under_way_any_more() -> None:
    class Interrupted:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            raise KeyboardInterrupt

    queue, flight = Queue(a_job()), Flight(3)
    with pytest.raises(KeyboardInterrupt):
        conveyor(queue, flight, guard=Interrupted()).carry(Stage.GUARD, queue.ids)
    assert (flight.registry.under_way(), flight.slots.used, flight.slots.bytes_used) == ([], 0, 0)


def test_a_doubtful_message_is_taken_as_such() -> None:
    queue, flight = Queue(a_job()), Flight(3)
    conveyor(queue, flight).carry(Stage.GUARD, queue.ids, doubtful=True)
    assert queue.doubted == [True]


class Watching:
    """A guard that notes down whom it sees, and who is held and under way meanwhile."""

    def __init__(self, queue: Queue, flight: Flight) -> None:
        self.queue, self.flight = queue, flight
        self.seen: list[tuple[list[str], set[str], set[str]]] = []

    def inspect(self, jobs: Sequence[Job]) -> list[Any]:
        """See `GuardStage.inspect`."""
        under_way = {job_id for job_id, _ in self.flight.registry.under_way()}
        self.seen.append(([job.id for job in jobs], set(self.queue.held), under_way))
        return GuardStage([]).inspect(jobs)


def lost_jobs(count: int) -> list[Job]:
    """Jobs that were lost with a worker before."""
    jobs = [a_job() for _ in range(count)]
    for job in jobs:
        job.losses = 1
    return jobs


def test_of_jobs_that_were_lost_before_each_is_alone_in_the_stages_and_all_are_held_for_their_calls() -> None:
    calm, lost = a_job(), lost_jobs(3)
    queue, flight = Queue(lost[0], calm, *lost[1:]), Flight(10)
    guard = Watching(queue, flight)
    assert conveyor(queue, flight, guard=guard).carry(Stage.GUARD, queue.ids) == 4
    assert guard.seen[0] == ([calm.id], {job.id for job in lost}, set(queue.ids))
    assert guard.seen[1:] == [([job.id], {job.id}, {job.id, calm.id}) for job in lost]
    assert queue.held == {job.id for job in lost}
    assert sorted(flight.registry.under_way()) == sorted(work.key for work in flight.works().values())
    assert flight.slots.used == 4


def test_one_that_was_lost_before_is_held_all_the_way() -> None:
    [lost] = lost_jobs(1)
    queue, flight = Queue(lost, a_job()), Flight(10)
    guard = Watching(queue, flight)
    conveyor(queue, flight, guard=guard).carry(Stage.GUARD, queue.ids)
    assert guard.seen == [(queue.ids, {lost.id}, set(queue.ids))]
    assert lost.claim.claim_no == 1


def test_a_job_that_another_worker_took_meanwhile_is_left_to_it() -> None:
    queue, flight = Queue(*lost_jobs(3)), Flight(10)
    queue.elsewhere = {queue.ids[1]}
    assert conveyor(queue, flight).carry(Stage.GUARD, queue.ids) == 2
    assert list(flight.works()) == [queue.ids[0], queue.ids[2]]
    assert (flight.slots.used, len(flight.registry.under_way())) == (2, 2)


def test_jobs_that_were_lost_before_go_to_their_calls_together() -> None:
    jobs = lost_jobs(3)
    for job in jobs:
        job.plan = a_plan("openai/gpt-4o@us")
    queue, flight = Queue(*jobs), Flight(10)
    conveyor(queue, flight).carry(Stage.EXECUTE, queue.ids)
    assert [job.claim.claim_no for job in jobs] == [1, 1, 1]
    assert queue.held == set(queue.ids)


def test_a_job_leaves_where_the_next_stage_is_served_elsewhere() -> None:
    queue, flight = Queue(a_job()), Flight(2)
    conveyor(queue, flight, serves=[Stage.GUARD]).carry(Stage.GUARD, queue.ids)
    [work] = flight.works().values()
    assert work.ending is not None
    assert (work.ending.transition, work.ending.stage) == (Transition.HAND_OVER, Stage.ROUTE)
    assert work.job.plan is None


def test_a_job_at_heal_brings_its_failure_and_one_without_is_our_own_bug() -> None:
    told, untold = a_job(routing=a_plan("openai/gpt-4o@us")), a_job()
    told.failure = {"class": "timeout", "message": "no answer"}
    queue, flight = Queue(told, untold), Flight(3)
    conveyor(queue, flight).carry(Stage.HEAL, queue.ids)
    failures = [work.failure.failure_class for work in flight.works().values() if work.failure is not None]
    assert failures == [FailureClass.TIMEOUT, FailureClass.INTERNAL]


def test_a_bug_in_a_stage_is_a_failure_of_its_jobs_and_none_is_left_behind() -> None:
    class Broken:
        def inspect(self, jobs: Sequence[Job]) -> list[Any]:
            raise ZeroDivisionError

    queue, flight = Queue(*[a_job() for _ in range(3)]), Flight(10)
    conveyor(queue, flight, guard=Broken()).carry(Stage.GUARD, queue.ids)
    classes = {work.failure.failure_class for work in flight.works().values() if work.failure is not None}
    assert (len(flight.works()), flight.slots.used) == (len(queue.ids), len(queue.ids))
    assert classes == {FailureClass.INTERNAL}
