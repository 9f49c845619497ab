"""Who is under way: known from being taken until all is written, and never twice."""

import asyncio

from pipelines.flow.registry import Registry, RunningJob
from pipelines.flow.work import OpenAttempt, Work
from synthralos.domain.jobs import Claim, Job
from tests.fakes.stage_jobs import NOON, a_deployment, a_job


def work(job: Job | None = None) -> Work:
    return Work(job or a_job(), NOON)


def entered(registry: Registry, one: Work | None = None) -> RunningJob:
    running = registry.enter(one or work())
    assert running is not None
    return running


def test_a_job_is_under_way_from_being_taken_until_it_leaves() -> None:
    left: list[Work] = []
    registry, one = Registry(left.append), work()
    registry.taken([one])
    assert registry.under_way() == [one.key]
    running = entered(registry, one)
    assert registry.under_way() == [one.key]
    registry.leave(running)
    registry.leave(running)
    assert (registry.under_way(), left) == ([], [one])


def test_jobs_that_do_not_come_to_the_loop_are_dropped() -> None:
    registry, one = Registry(), work()
    registry.taken([one])
    registry.dropped([one])
    assert registry.under_way() == []


def test_the_same_claim_enters_once_and_its_double_gives_its_slot_back() -> None:
    left: list[Work] = []
    registry, job = Registry(left.append), a_job()
    first, double = work(job), work(job)
    entered(registry, first)
    assert registry.enter(double) is None
    assert len(left) == 1
    assert left[0] is double
    assert registry.under_way() == [first.key]


def test_a_claim_that_was_written_when_its_job_was_rung_for_again_is_held_by_the_one_under_way() -> None:
    registry, read, rung = Registry(), a_job(), a_job()
    read.claim, rung.claim, rung.id = Claim("worker", 2, held=False), Claim("worker", 2), read.id
    running = entered(registry, work(read))
    assert registry.enter(work(rung)) is None
    assert running.work.job.claim.held


def test_a_later_claim_of_the_same_job_is_another() -> None:
    registry, job, later = Registry(), a_job(), a_job(claim_no=2)
    later.id = job.id
    entered(registry, work(job))
    entered(registry, work(later))


def test_only_claims_that_the_store_has_written_are_held() -> None:
    registry, read, held = Registry(), a_job(), a_job()
    read.claim = Claim("worker", 1, held=False)
    for job in (read, held):
        entered(registry, work(job))
    assert registry.holding() == [(held.id, 1)]


def test_a_cut_ends_the_wait_once_and_is_remembered_where_nothing_waits() -> None:
    registry, interrupted = Registry(), list[str]()
    one, other = entered(registry), entered(registry)
    one.wait(lambda: interrupted.append("one"))
    registry.cut([one.work.key, other.work.key, ("gone", 1)])
    registry.cut([one.work.key])
    assert (interrupted, one.is_cut, other.is_cut) == (["one"], True, True)


def test_a_wait_that_is_over_is_not_interrupted() -> None:
    registry, interrupted = Registry(), list[str]()
    one = entered(registry)
    one.wait(lambda: interrupted.append("one"))
    one.go_on()
    registry.cut([one.work.key])
    assert interrupted == []


def test_draining_gives_back_what_waits_without_a_call() -> None:
    registry, interrupted = Registry(), list[str]()
    waiting, calling, writing = (entered(registry) for _ in range(3))
    calling.work.attempt = OpenAttempt(1, a_deployment(), 0.0)
    waiting.wait(lambda: interrupted.append("waiting"))
    calling.wait(lambda: interrupted.append("calling"))
    registry.release_waiting()
    assert (interrupted, writing.is_cut, registry.draining) == (["waiting"], False, True)
    registry.release_all()
    assert (interrupted, writing.is_cut) == (["waiting", "calling"], True)


def test_it_is_told_when_nobody_is_under_way() -> None:
    async def scenario() -> None:
        registry = Registry()
        await registry.emptied()
        running = entered(registry)
        empty = asyncio.ensure_future(registry.emptied())
        await asyncio.sleep(0)  # it runs until it waits
        assert not empty.done()
        registry.leave(running)
        await empty

    asyncio.run(scenario())
