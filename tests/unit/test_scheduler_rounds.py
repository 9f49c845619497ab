"""The sweeper's thread: when it sleeps, and what wakes it."""

import threading
from collections.abc import Iterator

import pytest

from scheduler.rounds import Rounds
from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Topic


class Sweep:
    """A sweep that asks for `seconds` of sleep, and can be waited for."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)
        self._turns = threading.Semaphore(0)

    def __call__(self) -> float:
        self._turns.release()
        return self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]

    def ran(self, timeout: float = 10.0) -> bool:
        """Whether one more round was begun within `timeout` seconds."""
        return self._turns.acquire(timeout=timeout)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


def rounds(sweep: Sweep, bus: MemoryBus, pause: float) -> Iterator[Rounds]:
    made = Rounds(sweep, bus, pause)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 3600.0), (0.001, 0.001)])
def test_it_goes_on_when_its_time_has_come_and_at_once_where_something_is_left(
    bus: MemoryBus, asked: float, pause: float
) -> None:
    sweep = Sweep(asked, asked, 3600.0)
    for _ in rounds(sweep, bus, pause):
        assert all(sweep.ran() for _ in range(3))


def test_a_changed_job_wakes_it(bus: MemoryBus) -> None:
    sweep = Sweep(3600.0)
    for _ in rounds(sweep, bus, 0.001):
        for _ in range(3):
            assert sweep.ran()
            bus.publish(Topic.CHANGED, ["a job"])


def test_changed_jobs_make_no_rounds_faster_than_the_pause(bus: MemoryBus) -> None:
    sweep = Sweep(3600.0)
    for _ in rounds(sweep, bus, 3600.0):
        assert sweep.ran()
        bus.publish(Topic.CHANGED, ["a job"])
        assert not sweep.ran(timeout=0.2)


def test_it_stops_in_its_sleep(bus: MemoryBus) -> None:
    sweep = Sweep(3600.0)
    for _ in rounds(sweep, bus, 3600.0):
        assert sweep.ran()
