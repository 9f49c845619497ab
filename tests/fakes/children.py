"""Processes that a test starts."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def child(command: Sequence[str], **more: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that is gone when the test is over, also where the test fails: nobody waits for one that goes on.

    `more` is what `subprocess.Popen` takes.
    """
    with subprocess.Popen(command, text=True, **more) as process:
        try:
            yield process
        finally:
            process.kill()  # one that has ended is left alone
