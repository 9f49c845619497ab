"""The flight: no more jobs on board than there are seats, and every seat comes back."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from pipelines.flow.work import Work
from tests.fakes.stage_jobs import a_job
from workers.in_flight import EventLoopThread, InFlight


@pytest.fixture
def thread() -> Iterator[EventLoopThread]:
    thread = EventLoopThread("test")
    thread.start()
    yield thread
    thread.stop()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def works(count: int) -> list[Work]:
    return [Work(a_job(), datetime.now(UTC)) for _ in range(count)]


async def nothing(_: Work) -> None:
    """A journey that is over at once."""


class Gate:
    """JobRunner that go on when the test says so."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self._open = asyncio.Event()

    async def __call__(self, _: Work) -> None:
        self.arrived.release()
        await self._open.wait()

    def open(self, thread: EventLoopThread) -> None:
        """Let everybody go on."""
        thread.loop.call_soon_threadsafe(self._open.set)


def test_seats_are_taken_and_come_back_when_a_journey_ends(thread: EventLoopThread) -> None:
    gate = Gate()
    flight = InFlight(5, thread.loop, gate)
    assert flight.board(3)
    flight.depart(works(3))
    assert all(gate.arrived.acquire(timeout=30) for _ in range(3))
    assert flight.under_way == 3
    gate.open(thread)
    thread.run(flight.landed(), 30)
    assert flight.under_way == 0


def test_who_finds_no_seats_waits_until_there_are_enough(thread: EventLoopThread, threads: ThreadPoolExecutor) -> None:
    flight = InFlight(4, thread.loop, nothing)
    assert flight.board(3)
    happened: list[str] = []

    def board() -> bool:
        boarded = flight.board(2)
        happened.append("boarded")
        return boarded

    boarding = threads.submit(board)
    happened.append("vacated")
    flight.vacate(1)
    assert boarding.result(30)
    assert (happened, flight.under_way) == (["vacated", "boarded"], 4)


def test_nobody_boards_a_flight_that_is_closed_and_those_who_wait_go_home(
    thread: EventLoopThread, threads: ThreadPoolExecutor
) -> None:
    flight = InFlight(1, thread.loop, nothing)
    assert flight.board(1)
    boarding = threads.submit(flight.board, 1)
    flight.close()
    assert boarding.result(30) is False
    flight.vacate(1)
    assert flight.board(1) is False
    assert flight.under_way == 0


def test_more_than_there_are_seats_never_board_at_once(thread: EventLoopThread) -> None:
    with pytest.raises(ValueError, match="2 seats"):
        InFlight(2, thread.loop, nothing).board(3)


def test_a_journey_with_a_bug_gives_its_seat_back_and_harms_no_other(
    thread: EventLoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []
    jobs = works(3)

    async def journey(work: Work) -> None:
        if work is jobs[1]:
            raise ZeroDivisionError
        ended.append(work.job.id)

    flight = InFlight(3, thread.loop, journey)
    assert flight.board(3)
    flight.depart(jobs)
    thread.run(flight.landed(), 30)
    assert ended == [jobs[0].job.id, jobs[2].job.id]
    assert flight.under_way == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_flight_that_many_board_at_once_is_never_overbooked(
    thread: EventLoopThread, threads: ThreadPoolExecutor
) -> None:
    at_once, most = 0, 0

    async def journey(_: Work) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1

    flight = InFlight(7, thread.loop, journey)

    def board_often(seats: int) -> None:
        for _ in range(50):
            assert flight.board(seats)
            flight.depart(works(seats))

    for done in [threads.submit(board_often, seats) for seats in (1, 2, 3, 7)]:
        done.result(60)
    thread.run(flight.landed(), 30)
    assert (most, flight.under_way) == (7, 0)


def test_what_takes_longer_than_it_may_is_told(thread: EventLoopThread) -> None:
    never = asyncio.Event()
    with pytest.raises(TimeoutError):
        thread.run(never.wait(), 0.01)
    thread.loop.call_soon_threadsafe(never.set)


def test_what_is_spawned_runs_and_on_a_stopped_loop_nothing_happens() -> None:
    thread = EventLoopThread("test")
    ran = threading.Event()

    async def work() -> None:
        ran.set()

    thread.spawn(work)
    thread.start()
    assert ran.wait(30)
    thread.stop()
    ran.clear()
    thread.spawn(work)
    assert not ran.is_set()
