"""What a meter is: it says who may go on, and keeps count of it for every process that shares it.

Buckets are counted by GCRA (ITU-T I.371, the "virtual scheduling algorithm"), with weights: a bucket is the time at
which it would be full again, so that it needs no timer and refills evenly. A bucket knows two more times: that at which
the last of those who wait will have had their turn (`line`), and the same for those who came back and had to wait again
(`back`). So whoever waits is told a time of his own, and whoever comes later does not overtake.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

LEASE_SECONDS = 900.0
"""Tokens that are reserved for a job of which nothing is heard for so long are given back."""

SETTLED_SECONDS = 300.0
"""For so long a job that was settled is known, so that it is charged once however often its guard stage runs."""

PLACE_SECONDS = 3_600.0
"""For so long after its time a job that waits may come late, and still has its place."""


class MeterAwayError(Exception):
    """The meter cannot be asked now."""


class Charge(NamedTuple):
    """What a job takes from one bucket.

    `weight` is reserved, `expected` is what those behind it reckon with; both in requests or tokens. The bucket holds
    `limit` and refills within `window` seconds. `settled`: the weight is a guess, and set right when the job is done.
    """

    key: str
    weight: float
    expected: float
    limit: int
    window: float
    settled: bool


class Ask(NamedTuple):
    """A job that wants to go on. `patience`: seconds that it may wait in all, counted from its first answer."""

    job_id: str
    patience: float
    charges: Sequence[Charge]


class Status(IntEnum):
    """What a meter answers."""

    ADMITTED = 0
    WAITS = 1
    REFUSED = 2


class Answer(NamedTuple):
    """`seconds` until the job may come again, or might have; `charge` is the index of the one that decides."""

    status: Status
    seconds: float
    charge: int


class Settled(NamedTuple):
    """A job used so many tokens; None: nobody knows, what was reserved counts."""

    job_id: str
    tokens: int | None


class Meter(Protocol):
    """Keeps buckets. Thread-safe."""

    def admit(self, asks: Sequence[Ask]) -> list[Answer]:
        """Charge each job with all of its charges or with none, in the order of `asks`; raises `MeterAwayError`.

        A job that was admitted before is admitted again, and charged once.
        """
        ...

    def settle(self, settled: Sequence[Settled]) -> None:
        """Set right what was reserved. Returns at once; a job that is not known (any more) is passed over."""
        ...

    def close(self) -> None:
        """Settle what is still to be settled, and give back what is held."""
        ...
