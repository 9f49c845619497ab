"""The signals that end a process in good order: those of a terminal and those of a supervisor."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""SIGHUP: the terminal was closed or the connection to it broke."""

Handler = Callable[[int, FrameType | None], None]


def on_stop(handler: Handler) -> dict[signal.Signals, Any]:
    """Have the signals handled, in the main thread; returns the handlers before, by signal.

    A signal that is ignored stays so, since that was asked for: `nohup` means to outlive the terminal.
    """
    wanted = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in wanted}
