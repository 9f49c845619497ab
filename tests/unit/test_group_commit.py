"""Group commit: what arrives during a flush goes into the next one; one bad item harms nobody but itself."""

import asyncio
import threading
from collections.abc import Sequence

import psycopg
import pytest
import sqlalchemy as sa

from synthralos.store.sql import group_commit
from synthralos.store.sql.errors import StoreUnavailable
from synthralos.store.sql.group_commit import GroupCommit

BROKEN = sa.exc.OperationalError("COMMIT", {}, ConnectionResetError())
LOCKED = sa.exc.OperationalError("UPDATE", {}, psycopg.errors.LockNotAvailable())


class Gate:
    """A flush that waits at each batch until the test lets it through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._entered = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self._entered.release()
        assert self._open.acquire(timeout=30)
        return [item * 10 for item in items]

    async def entered(self) -> None:
        """A flush has begun."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=30)

    def let_through(self, batches: int = 1) -> None:
        """So many flushes may end."""
        self._open.release(batches)


def ten_times(items: Sequence[int]) -> list[int]:
    return [item * 10 for item in items]


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
        assert await group.commit_all(range(250)) == [item * 10 for item in range(250)]
        assert sizes == [100, 100, 50]
        await group.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("bad", [{0}, {7}, {0, 1, 15}, set(range(16))])
def test_a_bad_item_harms_no_neighbor(bad: set[int]) -> None:
    async def scenario() -> None:
        written: list[int] = []

        def flush(items: Sequence[int]) -> list[int]:
            if bad & set(items):
                raise ValueError("a bad item")
            written.extend(items)
            return ten_times(items)

        group = GroupCommit("test", flush)
        results = await asyncio.gather(*[group.commit(item) for item in range(16)], return_exceptions=True)
        assert {n for n, result in enumerate(results) if isinstance(result, ValueError)} == bad
        good = [item for item in range(16) if item not in bad]
        assert [result for result in results if isinstance(result, int)] == ten_times(good)
        assert sorted(written) == good
        await group.close()

    asyncio.run(scenario())


def test_a_broken_connection_is_tried_again_with_the_same_batch() -> None:
    async def scenario() -> None:
        batches: list[list[int]] = []

        def flush(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            if len(batches) < 3:
                raise BROKEN
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await group.commit_all([1, 2]) == [10, 20]
        assert batches == [[1, 2]] * 3
        await group.close()

    asyncio.run(scenario())


def test_after_the_time_to_give_up_the_store_is_unavailable_and_later_back() -> None:
    async def scenario() -> None:
        away = True

        def flush(items: Sequence[int]) -> list[int]:
            if away:
                raise BROKEN
            return ten_times(items)

        group = GroupCommit("test", flush, give_up_after=0.2)
        results = await asyncio.gather(group.commit(1), group.commit(2), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 2
        away = False
        assert await group.commit(3) == 30
        await group.close()

    asyncio.run(scenario())


def test_who_no_longer_waits_does_not_disturb_the_others() -> None:
    async def scenario() -> None:
        gate = Gate()
        group = GroupCommit("test", gate)
        gone, stays = asyncio.ensure_future(group.commit(1)), asyncio.ensure_future(group.commit(2))
        await gate.entered()
        gone.cancel()
        gate.let_through(2)
        assert await stays == 20
        assert gate.batches[0] == [1, 2]
        assert await group.commit(3) == 30
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


def test_an_item_that_breaks_each_connection_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        breaks = True

        def flush(items: Sequence[int]) -> list[int]:
            if breaks and 3 in items:
                raise BROKEN
            return ten_times(items)

        group = GroupCommit("test", flush)
        poison = asyncio.ensure_future(group.commit(3))
        assert await asyncio.gather(*[group.commit(item) for item in (1, 2, 4, 5)]) == [10, 20, 40, 50]
        assert await group.commit(6) == 60
        assert not poison.done()
        breaks = False
        assert await poison == 30
        await group.close()

    asyncio.run(scenario())


def test_a_write_that_keeps_failing_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        tries = 0

        def flush(items: Sequence[int]) -> list[int]:
            nonlocal tries
            tries += 1
            if tries < 5:
                raise BROKEN
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await group.commit(1) == 10
        await group.close()

    asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_held_rows_keep_no_other_item_waiting_however_many_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # By the time that all of them were tried, the first one is due again: as with locks that are waited for.
    monkeypatch.setattr(group_commit, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(group_commit, "_LONGEST_PAUSE", 0.0)

    async def scenario() -> None:
        held = {1, 2, 3, 4, 5}

        def flush(items: Sequence[int]) -> list[int]:
            if held & set(items):
                raise LOCKED
            return ten_times(items)

        group = GroupCommit("test", flush)
        waiting = [asyncio.ensure_future(group.commit(item)) for item in sorted(held)]
        async with asyncio.timeout(20):
            for item in range(100, 104):
                assert await group.commit(item) == item * 10
        assert not any(task.done() for task in waiting)
        held.clear()
        assert await asyncio.gather(*waiting) == [10, 20, 30, 40, 50]
        await group.close()

    asyncio.run(scenario())
