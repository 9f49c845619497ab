"""Which signals end a process in good order."""

import signal
from collections.abc import Iterator

import pytest

from synthralos.stop_signals import STOP_SIGNALS, on_stop


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_of_them_is_handled(number: signal.Signals) -> None:
    heard: list[int] = []
    on_stop(lambda number, frame: heard.append(number))
    signal.raise_signal(number)
    assert heard == [number]


def test_a_closed_terminal_that_is_to_be_outlived_is_outlived() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heard: list[int] = []
    assert signal.SIGHUP not in on_stop(lambda number, frame: heard.append(number))
    signal.raise_signal(signal.SIGHUP)
    assert heard == []
