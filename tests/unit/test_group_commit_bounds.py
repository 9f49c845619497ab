"""What bounds a group commit: how much may wait, how long an item does, how long a flush may take."""

import asyncio

import pytest

from synthralos.store.sql.errors import StoreBusy, StoreUnavailable
from synthralos.store.sql.group_commit import GroupCommit
from tests.fakes.flushes import Gate, Told, ten_times


def test_beyond_its_bound_it_refuses_at_once_and_writes_nothing_of_that() -> None:
    async def scenario() -> None:
        gate = Gate()
        group, told = GroupCommit("test", gate, max_pending=2), Told()
        group.submit(1, told.of(1))
        group.submit(2, told.of(2))
        group.submit(3, told.of(3))
        assert told.results == {}
        await told.until(3)
        assert isinstance(told.results.pop(3), StoreBusy)
        with pytest.raises(StoreBusy):
            await group.commit(4)
        gate.let_through(2)
        await told.until(1, 2)
        assert await group.commit(5) == 50
        assert gate.batches == [[1, 2], [5]]
        await group.close()

    asyncio.run(scenario())


def test_what_was_given_up_makes_room() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate, max_pending=1)
        first = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.ensure_future(group.commit(2))
        gate.let_through(2)
        assert await second == 20
        await group.close()

    asyncio.run(scenario())


def test_bytes_are_bounded_too_and_what_is_larger_gets_in_alone() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate, size_of=lambda item: item, max_pending_bytes=10)
        large = asyncio.ensure_future(group.commit(99))
        await gate.entered()
        with pytest.raises(StoreBusy):
            await group.commit(1)
        gate.let_through()
        assert await large == 990
        waiting = [asyncio.ensure_future(group.commit(item)) for item in (6, 4)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy):
            await group.commit(1)
        gate.let_through(2)
        assert await asyncio.gather(*waiting) == [60, 40]
        await group.close()

    asyncio.run(scenario())


def test_without_a_bound_nothing_is_refused() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit(
            "test", gate, size_of=lambda _: 1 << 40, max_pending=None, max_pending_bytes=None, max_bytes=1 << 60
        )
        told = Told()
        for item in range(30_000):
            group.submit(item, told.of(item))
        gate.let_through(30_000)
        await told.until(*range(30_000))
        assert [told.results[item] for item in range(30_000)] == ten_times(range(30_000))
        await group.close()

    asyncio.run(scenario())


def test_callers_are_told_in_time_though_a_flush_hangs_and_what_it_had_not_is_not_written() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate, give_up_after=0.1)
        hangs = asyncio.ensure_future(group.commit(1))
        await gate.entered()
        behind = asyncio.ensure_future(group.commit(2))
        results = await asyncio.gather(hangs, behind, return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 2
        gate.let_through(2)
        assert await group.commit(3) == 30
        assert gate.batches == [[1], [3]]
        await group.close()

    asyncio.run(scenario())


def test_a_flush_that_is_stuck_is_told_once_and_its_connection_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        gate, aborted = Gate(), asyncio.Queue[int]()

        def abort() -> None:
            aborted.put_nowait(len(caplog.records))
            if len(caplog.records) == 2:
                gate.let_through()

        group = GroupCommit("test", gate, stuck_after=0.05, abort=abort)
        first = asyncio.ensure_future(group.commit(1))
        async with asyncio.timeout(30):
            assert await aborted.get() == 1
            gate.let_through()
            assert await first == 10
            second = asyncio.ensure_future(group.commit(2))
            assert await aborted.get() == 2
            assert await second == 20
        assert gate.batches == [[1], [2]]
        await group.close()

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
