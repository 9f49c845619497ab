"""Group commits that fail: by an outage, by rows that are held, by one bad item; and who of the others is written."""

import asyncio
import itertools
import queue
import threading
from collections.abc import Sequence

import psycopg
import pytest

from synthralos.store.sql import commit_parts
from synthralos.store.sql.commit_lanes import PARTS_IN_A_ROW, SideLane
from synthralos.store.sql.commit_parts import Entry, Part
from synthralos.store.sql.errors import StoreUnavailable
from synthralos.store.sql.group_commit import GroupCommit
from synthralos.telemetry.outages import Outages
from tests.fakes.flushes import AWAY, LOCKED, Failing, Gate, Told, ten_times, without_pauses

TOO_LARGE = psycopg.errors.ProgramLimitExceeded()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)


@pytest.mark.parametrize("error", [ValueError("a bad item"), psycopg.errors.InvalidTextRepresentation(), TOO_LARGE])
@pytest.mark.parametrize("bad", [{0}, {7}, {0, 1, 15}, set(range(16))])
def test_a_bad_item_harms_no_neighbor(bad: set[int], error: Exception) -> None:
    async def scenario() -> None:
        group = GroupCommit("test", Failing(bad, error))
        results = await asyncio.gather(*[group.commit(item) for item in range(16)], return_exceptions=True)
        assert results == [error if item in bad else item * 10 for item in range(16)]
        await group.close()

    asyncio.run(scenario())


def test_of_many_items_one_bad_one_costs_few_flushes_that_fail() -> None:
    async def scenario() -> None:
        flush = Failing({250}, ValueError("a bad item"))
        group, told = GroupCommit("test", flush), Told()
        for item in range(500):
            group.submit(item, told.of(item))
        await told.until(*range(500))
        assert len([batch for batch in flush.batches if 250 in batch]) == 3
        assert len(flush.batches) < 60
        await group.close()

    asyncio.run(scenario())


def test_a_batch_that_is_too_large_is_written_in_parts() -> None:
    async def scenario() -> None:
        written: list[int] = []

        def flush(items: Sequence[int]) -> list[int]:
            if len(items) > 5:
                raise TOO_LARGE
            written.extend(items)
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await asyncio.gather(*[group.commit(item) for item in range(100)]) == ten_times(range(100))
        assert sorted(written) == list(range(100))
        await group.close()

    asyncio.run(scenario())


def test_a_broken_connection_is_tried_again_with_the_same_batch() -> None:
    async def scenario() -> None:
        batches: list[list[int]] = []

        def flush(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            if len(batches) < 3:
                raise AWAY
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await asyncio.gather(group.commit(1), group.commit(2)) == [10, 20]
        assert batches == [[1, 2]] * 3
        await group.close()

    asyncio.run(scenario())


def test_a_long_outage_loses_nothing_and_ends_in_few_flushes() -> None:
    async def scenario() -> None:
        batches: list[list[int]] = []

        def flush(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            if len(batches) < 1000:
                raise AWAY
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await asyncio.gather(*[group.commit(item) for item in range(500)]) == ten_times(range(500))
        assert len(batches) < 1000 + 50
        await group.close()

    asyncio.run(scenario())


def test_an_item_that_breaks_each_connection_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        flush = Failing({3}, AWAY)
        group = GroupCommit("test", flush)
        poison = asyncio.ensure_future(group.commit(3))
        assert await asyncio.gather(*[group.commit(item) for item in (1, 2, 4, 5)]) == [10, 20, 40, 50]
        assert await group.commit(6) == 60
        assert not poison.done()
        flush.bad.clear()
        assert await poison == 30
        await group.close()

    asyncio.run(scenario())


def test_a_single_item_that_breaks_each_connection_lets_later_ones_pass() -> None:
    async def scenario() -> None:
        tried, mended = threading.Event(), threading.Event()

        def flush(items: Sequence[int]) -> list[int]:
            if 3 in items and not mended.is_set():
                tried.set()
                raise AWAY
            return ten_times(items)

        group, told = GroupCommit("test", flush), Told()
        group.submit(3, told.of(3))
        await asyncio.to_thread(tried.wait, 30)
        group.submit(1, told.of(1))
        await told.until(1)
        assert 3 not in told.results
        mended.set()
        await told.until(3)
        await group.close()

    asyncio.run(scenario())


def test_held_rows_keep_no_other_item_waiting_however_many_they_are() -> None:
    async def scenario() -> None:
        flush = Failing({1, 2, 3, 4, 5}, LOCKED)
        group = GroupCommit("test", flush)
        waiting = [asyncio.ensure_future(group.commit(item)) for item in (1, 2, 3, 4, 5)]
        async with asyncio.timeout(30):
            for item in range(100, 104):
                assert await group.commit(item) == item * 10
        assert not any(task.done() for task in waiting)
        flush.bad.clear()
        assert await asyncio.gather(*waiting) == [10, 20, 30, 40, 50]
        await group.close()

    asyncio.run(scenario())


def test_the_main_lane_goes_on_while_a_held_row_is_waited_for() -> None:
    async def scenario() -> None:
        gate = Gate()
        failed = threading.Event()

        def flush(items: Sequence[int]) -> list[int]:
            if 1 not in items:
                return ten_times(items)
            if not failed.is_set():
                failed.set()
                raise LOCKED
            return gate(items)  # the second try waits for its lock

        group, told = GroupCommit("test", flush), Told()
        group.submit(1, told.of(1))
        await gate.entered()
        assert [await group.commit(item) for item in range(2, 10)] == ten_times(range(2, 10))
        assert told.results == {}
        gate.let_through()
        await told.until(1)
        await group.close()

    asyncio.run(scenario())


def test_an_item_that_failed_alone_has_its_turn_among_many_parts() -> None:
    told: queue.Queue[int] = queue.Queue()
    lane = SideLane("test", ten_times, lambda entries, _: told.put(entries[0].item), Outages())
    held, *others = [Part([Entry(item, print, 0, 0.0)], "test") for item in range(3 * PARTS_IN_A_ROW)]
    held.failed(LOCKED, away=False)
    lane.ring([held, *others])
    assert 0 in [told.get(timeout=30) for _ in range(PARTS_IN_A_ROW + 1)]
    ended = threading.Event()
    lane.stop(ended.set)
    assert ended.wait(30)


def test_too_few_results_are_an_error_of_that_flush_alone() -> None:
    async def scenario() -> None:
        short = True

        def flush(items: Sequence[int]) -> list[int]:
            return [] if short else ten_times(items)

        group = GroupCommit("test", flush)
        results = await asyncio.gather(group.commit(1), group.commit(2), return_exceptions=True)
        assert [type(result) for result in results] == [RuntimeError] * 2
        short = False
        assert await group.commit(3) == 30
        await group.close()

    asyncio.run(scenario())


def test_a_database_that_is_away_is_told_when_it_goes_and_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        tries = 0

        def flush(items: Sequence[int]) -> list[int]:
            nonlocal tries
            tries += 1
            if tries < 5:
                raise AWAY
            return ten_times(items)

        group = GroupCommit("test", flush)
        assert await group.commit(1) == 10
        await group.close()

    asyncio.run(scenario())
    assert ["remedy" in record.__dict__ for record in caplog.records] == [True, False]


def test_after_the_time_to_give_up_the_store_is_unavailable_and_what_comes_then_is_tried_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commit_parts, "pauses", lambda: itertools.repeat(3600.0))

    async def scenario() -> None:
        flush = Failing({1, 2}, AWAY)
        group = GroupCommit("test", flush, give_up_after=0.1)
        results = await asyncio.gather(group.commit(1), group.commit(2), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 2
        assert await group.commit(3) == 30
        assert flush.batches == [[1, 2], [3]]
        await group.close()

    asyncio.run(scenario())
