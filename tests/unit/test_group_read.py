"""Group reads: what is asked for while a read runs goes into the next one."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import psycopg
import pytest

from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.sql.group_read import GroupRead

Read = Callable[[Sequence[str]], dict[str, str]]


async def reading(read: Read, *keys: str) -> tuple[GroupRead[str], list[object]]:
    group = GroupRead("test", read)
    group.attach(asyncio.get_running_loop())
    found = await asyncio.gather(*(group.get(key) for key in keys), return_exceptions=True)
    await asyncio.to_thread(group.close)
    return group, list(found)


def upper(keys: Sequence[str]) -> dict[str, str]:
    return {key: key.upper() for key in keys if key != "none"}


def test_each_gets_its_own_and_what_is_not_there_is_none() -> None:
    _, found = asyncio.run(reading(upper, "a", "none", "b"))
    assert found == ["A", None, "B"]


def test_what_comes_during_a_read_shares_the_next_one() -> None:
    batches: list[list[str]] = []
    reads, go = threading.Event(), threading.Event()

    def slow(keys: Sequence[str]) -> dict[str, str]:
        batches.append(list(keys))
        reads.set()
        assert go.wait(10)
        return upper(keys)

    async def main() -> list[str | None]:
        group = GroupRead("test", slow)
        group.attach(asyncio.get_running_loop())
        first = asyncio.create_task(group.get("a"))
        await asyncio.to_thread(reads.wait, 10)
        others = [asyncio.create_task(group.get(key)) for key in ("b", "c", "b")]
        await asyncio.sleep(0)
        go.set()
        found = await asyncio.gather(first, *others)
        await asyncio.to_thread(group.close)
        return list(found)

    assert asyncio.run(main()) == ["A", "B", "C", "B"]
    assert batches == [["a"], ["b", "c"]]


def test_an_error_that_time_heals_is_tried_again_once() -> None:
    errors = [DatabaseFailed(psycopg.OperationalError("lost"))]

    def dead_once(keys: Sequence[str]) -> dict[str, str]:
        if errors:
            raise errors.pop()
        return upper(keys)

    assert asyncio.run(reading(dead_once, "a"))[1] == ["A"]


@pytest.mark.parametrize("error", [DatabaseFailed(psycopg.OperationalError("lost")), ZeroDivisionError()])
def test_who_asked_gets_the_error_and_the_next_one_is_served(error: Exception) -> None:
    def failing(keys: Sequence[str]) -> dict[str, str]:
        if "bad" in keys:
            raise error
        return upper(keys)

    async def main() -> tuple[object, object]:
        group = GroupRead("test", failing)
        group.attach(asyncio.get_running_loop())
        [bad] = await asyncio.gather(group.get("bad"), return_exceptions=True)
        good = await group.get("a")
        await asyncio.to_thread(group.close)
        return bad, good

    assert asyncio.run(main()) == (error, "A")
