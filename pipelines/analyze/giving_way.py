"""Long work on traces gives way to threads that have jobs to do: they would wait for the interpreter's turn else."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Each = TypeVar("Each")

EVERY = 8
"""Traces between two times: a millisecond or two of work, less than after which the interpreter takes turns itself."""


def giving_way(items: Iterable[Each]) -> Iterator[Each]:
    """The same items; now and then other threads go first."""
    for number, item in enumerate(items):
        if number % EVERY == 0:
            time.sleep(0)
        yield item
