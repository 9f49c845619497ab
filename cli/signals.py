"""Waiting until somebody wants the process to stop."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cli.exits import Exit
from synthralos.stop_signals import on_stop


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that any of the stop signals sets. A second one ends the process at once, but never SIGHUP.

    A terminal that is closed may send SIGHUP twice, once itself and once by its shell: nobody is impatient then.
    """
    requested = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if requested.is_set() and number != signal.SIGHUP:
            os._exit(Exit.INTERRUPTED)
        requested.set()

    before = on_stop(ask)
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
