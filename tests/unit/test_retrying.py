"""Trying again while the database is away."""

import asyncio
import threading
from itertools import islice

import psycopg
import pytest

from synthralos.store.sql import retrying
from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.sql.retrying import Stopped, keep_trying, keep_trying_async, pauses

AWAY = DatabaseFailed(psycopg.OperationalError("connection refused"))


class Act:
    """Fails as told, then gives "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Impatient(threading.Event):
    """Nobody waits for real: each wait moves the clock; set after `stops_after` seconds."""

    def __init__(self, stops_after: float = 1e9) -> None:
        super().__init__()
        self.now = 0.0
        self._stops_after = stops_after

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if self.now >= self._stops_after:
            self.set()
        return self.is_set()

    def clock(self) -> float:
        return self.now


def test_pauses_double_up_to_two_seconds() -> None:
    assert list(islice(pauses(), 8)) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_what_passes_is_waited_for_and_told() -> None:
    heard: list[Exception] = []
    assert keep_trying(Act(AWAY, AWAY), stopping=Impatient(), tell=heard.append) == "done"
    assert heard == [AWAY, AWAY]


def test_what_does_not_pass_is_raised_at_once() -> None:
    act = Act(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        keep_trying(act)
    assert act.tries == 1


def test_another_may_say_what_passes() -> None:
    assert keep_trying(Act(ZeroDivisionError()), stopping=Impatient(), passes=lambda _: True) == "done"


def test_patience_ends() -> None:
    event, act = Impatient(), Act(*[AWAY] * 1000)
    with pytest.raises(DatabaseFailed):
        keep_trying(act, stopping=event, patience=10.0, clock=event.clock)
    assert 10.0 <= event.now < 12.1


def test_who_stops_waits_no_longer() -> None:
    with pytest.raises(Stopped):
        keep_trying(Act(*[AWAY] * 1000), stopping=Impatient(stops_after=1.0))


def test_who_has_stopped_does_not_begin() -> None:
    act, event = Act(), threading.Event()
    event.set()
    with pytest.raises(Stopped):
        keep_trying(act, stopping=event)
    assert act.tries == 0


def test_a_loop_tries_again_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "pauses", lambda: iter([0.0] * 10))

    async def scenario(act: Act) -> str:
        return await keep_trying_async(lambda: asyncio.to_thread(act))

    assert asyncio.run(scenario(Act(AWAY, AWAY))) == "done"
    with pytest.raises(ZeroDivisionError):
        asyncio.run(scenario(Act(AWAY, ZeroDivisionError())))
