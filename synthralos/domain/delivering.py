"""Delivering the feed to somebody outside: what every channel has to do, and what became of it.

A channel (webhooks, StackStorm's triggers) says who its targets are and takes one event to one of them. Everything
else (the place in the feed, tries, backoff, giving up, keeping one that hangs from holding up others) is
`scheduler/delivering/`, the same for all. An event may come more than once, always under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from synthralos.domain.feed import Item

LONGEST_TRYING = timedelta(days=3)
"""After so long an event that its target does not take is set aside."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 6 * 3600.0
"""Seconds: the bound of the pause after the first try, which doubles with each, and the longest one."""

MOST_ANSWER = 1_000
"""Characters of a target's answer that are kept."""


class DeliveryState(StrEnum):
    """`pending`: it is tried until it is taken. `set_aside`: it was given up, and waits for somebody who retries it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target took it. `status` and `answer` are what it said."""

    status: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never take this event; `gone`: nor any other, so it is disabled."""

    reason: str
    status: int | None = None
    answer: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It did not take it now. `after`: seconds that it asked for; None: as the backoff says."""

    reason: str
    after: float | None = None
    status: int | None = None
    answer: str = ""


Outcome: TypeAlias = Delivered | Refused | TryAgain


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to whom a channel delivers.

    `organization` None: the whole installation's, which hears of everything. `types` as in `feed.Wanted`.
    """

    id: str
    organization: str | None = None
    types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sending:
    """One try: the event that goes to a target, for the time number `tries` + 1."""

    delivery_id: str
    target: Target
    event: Item
    tries: int


class Channel(Protocol):
    """A way out. `targets` and `deliver` are called in threads of the delivery, `deliver` in several at once."""

    name: str

    def targets(self) -> Sequence[Target]:
        """Those that are to get events now: not those that are paused or disabled."""
        ...

    def deliver(self, sending: Sending) -> Outcome:
        """Take the event there; returns within a bounded time and raises nothing but for bugs."""
        ...
