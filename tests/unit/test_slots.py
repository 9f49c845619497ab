"""Slots: no more is under way than there may be, people find room, and every slot comes back."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

import pytest

from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.slots import BRIEF, Slots
from synthralos.domain.states import Lane
from tests.fakes.stage_jobs import a_deployment

BULK, INTERACTIVE = Lane.BULK, Lane.INTERACTIVE
MEGABYTE = 1_000_000
LONG = 30.0


def slots(count: int = 10, most_bytes: int = 1000 * MEGABYTE, **more: int) -> Slots:
    return Slots(count, most_bytes, **more)


@pytest.mark.parametrize(("count", "bulk"), [(1, 1), (2, 1), (3, 2), (10, 9), (100, 90), (10_000, 9_000)])
def test_a_share_is_kept_for_interactive_jobs(count: int, bulk: int) -> None:
    some = slots(count, 10**12)
    assert (some.most(INTERACTIVE), some.most(BULK)) == (count, bulk)


def test_bulk_jobs_never_take_the_share_of_people_and_people_may_take_all() -> None:
    some = slots(10)
    assert some.acquire(BULK, 9, 0)
    assert some.acquire(BULK, 1, 0) is None
    assert some.acquire(INTERACTIVE, 1, 0)
    assert some.acquire(INTERACTIVE, 1, 0) is None
    other = slots(10)
    assert other.acquire(INTERACTIVE, 10, 0)
    assert other.acquire(BULK, 1, 0) is None


def test_who_finds_no_slots_waits_until_there_are_enough() -> None:
    some = slots(10)
    assert some.acquire(BULK, 8, 0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(some.acquire, BULK, 2, LONG)
        some.release(BULK, 1, 0)
        assert waiting.result(LONG) is not None
    assert some.used == 9


def test_nobody_gets_slots_that_are_closed_and_those_who_wait_go_home() -> None:
    some = slots(2)
    assert some.acquire(INTERACTIVE, 2, 0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(some.acquire, INTERACTIVE, 1, LONG)
        some.close()
        assert waiting.result(LONG) is None
    assert some.acquire(INTERACTIVE, 1, 0) is None


def test_more_than_there_are_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="into 9 slots"):
        slots(10).acquire(BULK, 10, 0)


def test_of_many_bulk_threads_some_wait_for_a_moment_only() -> None:
    some = slots(2, bulk_waiters=1)
    assert some.acquire(BULK, 1, 0)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(some.acquire, BULK, 1, LONG) for _ in range(2)]
        gave_up = next(as_completed(waiting, LONG))
        assert gave_up.result() is None
        some.release(BULK, 1, 0)
        assert [each.result(LONG) for each in waiting if each is not gave_up] != [None]
    assert BRIEF < LONG


def test_a_batch_keeps_a_slot_for_each_job_that_it_found() -> None:
    some = slots(10)
    lease = some.acquire(BULK, 5, 0)
    assert lease is not None
    lease.keep([100, 200])
    lease.give_back()
    assert (some.used, some.bytes_used) == (2, 300)
    some.release(BULK, 1, 100)
    some.release(BULK, 1, 200)
    assert (some.used, some.bytes_used) == (0, 0)


def test_a_batch_that_found_nothing_gives_all_back_once() -> None:
    some = slots(10)
    lease = some.acquire(BULK, 5, 0)
    assert lease is not None
    lease.give_back()
    lease.give_back()
    assert (some.used, some.bytes_used) == (0, 0)


def test_bytes_are_bounded_too() -> None:
    some = slots(100, 10 * MEGABYTE)
    lease = some.acquire(INTERACTIVE, 4, 0)
    assert lease is not None
    lease.keep([2 * MEGABYTE] * 4)
    assert some.acquire(INTERACTIVE, 2, 0) is None
    some.release(INTERACTIVE, 1, 2 * MEGABYTE)
    assert some.acquire(INTERACTIVE, 2, 0) is not None


def test_batches_get_smaller_where_jobs_are_large_and_grow_again() -> None:
    some = slots(1000, 100 * MEGABYTE)
    lease = some.acquire(INTERACTIVE, 1, 0)
    assert lease is not None
    lease.keep([5 * MEGABYTE])
    assert some.most(INTERACTIVE) == 5
    for _ in range(100):
        some.weigh(INTERACTIVE, 0, [0])
    assert some.most(INTERACTIVE) > 100


def test_a_job_larger_than_all_bytes_passes_alone() -> None:
    some = slots(10, MEGABYTE)
    lease = some.acquire(BULK, 1, 0)
    assert lease is not None
    lease.keep([50 * MEGABYTE])
    assert some.acquire(BULK, 1, 0) is None
    some.release(BULK, 1, 50 * MEGABYTE)
    assert some.acquire(BULK, 1, 0) is not None


def test_what_is_overdrawn_is_missing_for_those_who_come_after() -> None:
    some = slots(10)
    assert some.acquire(BULK, 9, 0)
    some.overdraw(BULK, 3).keep([0, 0, 0])
    some.release(BULK, 3, 0)
    assert some.acquire(BULK, 1, 0) is None
    some.release(BULK, 1, 0)
    assert some.acquire(BULK, 1, 0) is not None


def test_many_threads_never_have_more_than_there_is() -> None:
    some, most, lock = slots(10), 0, threading.Lock()

    def often(lane: Lane, count: int) -> None:
        nonlocal most
        for _ in range(200):
            lease = some.acquire(lane, count, LONG)
            assert lease is not None
            with lock:
                most = max(most, some.used)
            lease.keep([0])
            some.release(lane, 1, 0)

    with ThreadPoolExecutor(4) as threads:
        for done in [
            threads.submit(often, lane, n) for lane, n in ((BULK, 1), (BULK, 4), (INTERACTIVE, 10), (BULK, 9))
        ]:
            done.result(60)
    assert most <= 10
    assert (some.used, some.bytes_used) == (0, 0)


ONE = replace(a_deployment(), max_in_flight=1)


def test_a_deployments_slots_go_to_those_who_wait_in_their_order() -> None:
    async def scenario() -> None:
        some, order = DeploymentSlots(), list[int]()
        assert some.take(ONE)
        assert not some.take(ONE)

        async def wait(number: int) -> None:
            assert await some.wait(ONE, LONG)
            order.append(number)
            some.release(ONE)

        waiting = [asyncio.ensure_future(wait(number)) for number in range(3)]
        await asyncio.sleep(0)  # they run until they wait
        assert some.waiting(ONE) == 3
        some.release(ONE)
        assert not some.take(ONE)
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2]
        assert some.take(ONE)

    asyncio.run(scenario())


def test_who_waits_too_long_or_is_cancelled_leaves_the_line() -> None:
    async def scenario() -> None:
        some = DeploymentSlots()
        assert some.take(ONE)
        assert not await some.wait(ONE, 0)
        cancelled = asyncio.ensure_future(some.wait(ONE, LONG))
        await asyncio.sleep(0)  # it runs until it waits
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert some.waiting(ONE) == 0
        some.release(ONE)
        assert some.take(ONE)

    asyncio.run(scenario())


def test_a_turn_that_comes_as_its_owner_is_cancelled_goes_to_the_next() -> None:
    async def scenario() -> None:
        some = DeploymentSlots()
        assert some.take(ONE)
        first, second = (asyncio.ensure_future(some.wait(ONE, LONG)) for _ in range(2))
        await asyncio.sleep(0)  # both run until they wait
        some.release(ONE)
        first.cancel()
        assert (await asyncio.gather(first, second, return_exceptions=True))[1] is True
        some.release(ONE)
        assert some.take(ONE)

    asyncio.run(scenario())
