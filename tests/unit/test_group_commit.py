"""Group commit: what arrives during a flush goes into the next one, and everybody hears of their own item."""

import asyncio
from collections.abc import Sequence

import pytest

from synthralos.store.sql.group_commit import GroupCommit
from tests.fakes.flushes import Gate, Told, ten_times


def test_an_idle_system_commits_at_once() -> None:
    async def scenario() -> None:
        group = GroupCommit("test", ten_times)
        assert await group.commit(1) == 10
        assert (group.flushes, group.items) == (1, 1)
        await group.close()

    asyncio.run(scenario())


def test_what_arrives_during_a_flush_goes_into_the_next_one() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        first = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        others = [asyncio.ensure_future(group.commit(item)) for item in (2, 3, 4)]
        await asyncio.sleep(0)
        gate.let_through(2)
        assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
        assert gate.batches == [[1], [2, 3, 4]]
        await group.close()

    asyncio.run(scenario())


def test_results_come_back_in_order_and_batches_are_bounded() -> None:
    async def scenario() -> None:
        sizes: list[int] = []

        def flush(items: Sequence[int]) -> list[int]:
            sizes.append(len(items))
            return ten_times(items)

        group = GroupCommit("test", flush, batch=100)
        results = await asyncio.gather(*[group.commit(item) for item in range(250)])
        assert results == ten_times(range(250))
        assert sizes == [100, 100, 50]
        await group.close()

    asyncio.run(scenario())


def test_to_close_writes_what_is_pending() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        waiting = [asyncio.ensure_future(group.commit(1))]
        await gate.entered()
        waiting += [asyncio.ensure_future(group.commit(item)) for item in (2, 3)]
        await asyncio.sleep(0)
        gate.let_through(2)
        await group.close()
        assert [future.result() for future in waiting] == [10, 20, 30]
        with pytest.raises(RuntimeError):
            await group.commit(4)

    asyncio.run(scenario())


def test_to_close_an_idle_one_is_no_trouble() -> None:
    async def scenario() -> None:
        await GroupCommit("test", ten_times).close()

    asyncio.run(scenario())


def test_the_loop_goes_on_while_a_flush_waits() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        waiting = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        turned = asyncio.Event()
        asyncio.get_running_loop().call_soon(turned.set)
        await turned.wait()
        assert not waiting.done()
        gate.let_through()
        assert await waiting == 10
        await group.close()

    asyncio.run(scenario())


def test_batches_are_bounded_in_bytes_and_what_is_larger_goes_alone() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate, size_of=lambda item: item, max_bytes=10)
        waiting = [asyncio.ensure_future(group.commit(item)) for item in (4, 4, 4, 99, 1)]
        await asyncio.sleep(0)
        gate.let_through(4)
        assert await asyncio.gather(*waiting) == [40, 40, 40, 990, 10]
        assert gate.batches == [[4, 4], [4], [99], [1]]
        await group.close()

    asyncio.run(scenario())


def test_what_is_submitted_is_told_to_a_callback_on_the_loop() -> None:
    async def scenario() -> None:
        group, told = GroupCommit("test", ten_times), Told()
        for item in range(5):
            group.submit(item, told.of(item))
        assert told.results == {}
        await told.until(*range(5))
        assert told.results == {item: item * 10 for item in range(5)}
        await group.close()

    asyncio.run(scenario())


def test_a_callback_that_fails_keeps_no_other_from_its_result(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        group, told = GroupCommit("test", ten_times), Told()

        def fails(result: int | Exception) -> None:
            raise ZeroDivisionError

        group.submit(1, fails)
        group.submit(2, told.of(2))
        await told.until(2)
        await group.close()

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_next_batch_is_taken_while_the_loop_is_busy() -> None:
    async def scenario() -> None:
        gate = Gate()
        group, told = GroupCommit("test", gate), Told()
        group.submit(1, told.of(1))
        await gate.entered()
        group.submit(2, told.of(2))
        gate.let_through()
        gate.wait_entered()  # and the loop with it
        assert (gate.batches, told.results) == ([[1], [2]], {})
        gate.let_through()
        await told.until(1, 2)
        await group.close()

    asyncio.run(scenario())


def test_who_is_cancelled_before_a_flush_took_the_item_has_it_not_written() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        taken = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        gone, stays = asyncio.ensure_future(group.commit(2)), asyncio.ensure_future(group.commit(3))
        await asyncio.sleep(0)
        assert gone.cancel()
        assert taken.cancel()
        await asyncio.wait([gone, taken])
        gate.let_through(2)
        assert await stays == 30
        assert gate.batches == [[1], [3]]
        await group.close()

    asyncio.run(scenario())


def test_to_close_waits_for_the_flush_of_an_item_that_nobody_waits_for() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        gone = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        gone.cancel()
        closing = asyncio.ensure_future(group.close())
        await asyncio.sleep(0)
        assert not closing.done()
        gate.let_through()
        await closing

    asyncio.run(scenario())
