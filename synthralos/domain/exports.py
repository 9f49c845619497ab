"""Exports: what a destination is told and answers, what of it is set aside, and how it fares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from synthralos.domain.flags import Flag


@dataclass(frozen=True, slots=True)
class Destination:
    """Where traces are exported to.

    `residency` is where it is declared to keep them; None: nowhere. Organizations without `flag` are not exported.
    A shipment has `batch` traces; while a backlog drains and all is accepted they grow to `most`.
    """

    name: str
    residency: str | None = None
    flag: Flag | None = None
    batch: int = 20
    most: int = 200


class Owed(NamedTuple):
    """A trace that a destination is owed, in how many shipments it was with the present one, and the claim's number.

    `since` when; of one end of a job, or one change of its trace, that is the same for all destinations.
    """

    job_id: str
    tries: int
    claim_no: int = 0
    since: datetime | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the trace is as it was when it came to be owed: a change begins to count the shipments anew."""
        return self.since is not None and self.claim_no == self.tries


class Kind(StrEnum):
    """Why a trace is set aside: the destination refuses it for good, or its data may not go there."""

    REFUSED = "refused"
    WITHHELD = "withheld"


class Aside(NamedTuple):
    """A trace that comes no more by itself."""

    owed: Owed
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """A destination is to be left alone for so many seconds. `stopped`: until somebody mends its key, or such.

    A destination that is stopped is tried again all the same, at the end of each rest.
    """

    seconds: float
    reason: str
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """What became of a shipment: how many traces arrived, what is off the backlog, and what comes again.

    `again` comes after a pause of its own, `left` was not tried and comes when `rest` is over.
    """

    sent: int = 0
    done: Sequence[Owed] = ()
    aside: Sequence[Aside] = ()
    again: Sequence[Owed] = ()
    left: Sequence[Owed] = ()
    rest: Rest | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a destination fares. Counts up to a bound are `pending`, `refused` and `withheld`; the others are for ever.

    `lag` is for how many seconds the oldest trace has been owed; `resting` for how many more it is left alone.
    """

    name: str
    residency: str | None
    pending: int
    lag: float
    sent: int
    failed: int
    dropped: int
    refused: int
    withheld: int
    stopped: bool
    resting: float
    last_error: str | None
    last_error_at: datetime | None
    last_sent_at: datetime | None
    seen_at: datetime


class SetAside(NamedTuple):
    """A trace that is set aside, as it is listed."""

    job_id: str
    organization: str | None
    kind: Kind
    reason: str
    tries: int
    since: datetime
    at: datetime
