"""Shipping in requests of a bounded size, and halving those that a destination does not take as they are.

So one trace or event that is too large, or that the destination takes for invalid, is found and no other has to wait
for it.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pipelines.analyze.giving_way import giving_way
from pipelines.analyze.protocol import Answer, Trace
from synthralos.domain.exports import Rest

LEAST_BYTES = 65_536
"""Bytes of a request that are tried again, however little a destination took before."""

SHIPMENT_SECONDS = 120.0
"""After which no further request of a shipment is begun: what is left comes again. Well within the backlog's lease."""


class Fault(Enum):
    """What is wrong with a request. `TOO_LARGE`: its bytes; `INVALID`: something in it."""

    TOO_LARGE = "too large"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request was not taken, or not the whole of it."""

    fault: Fault
    reason: str


Reply = Refusal | Rest | None
"""What a destination says to a request; None: it has all of it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One trace or event as it is sent. `small` makes a smaller form of it, with a marker where something was left out.

    `key` tells it from the others of a shipment: a trace's is its job's id.
    """

    key: str
    body: bytes
    small: Callable[[], bytes] | None = None


@dataclass(slots=True)
class Told:
    """What a destination said to a shipment, by keys. What is in neither of the first two comes again."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    rest: Rest | None = None
    error: str | None = None


class Splitter:
    """Sends by `send`, which is given several and raises `OSError` where nothing is answered."""

    def __init__(
        self,
        send: Callable[[Sequence[Packed]], Reply],
        most_bytes: int,
        check: Callable[[], Rest | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_bytes`: of what a request holds; less, as soon as the destination takes no more.

        `check` is asked where one is refused alone before any other was taken: whether it may be the destination that
        is wrong, and is to rest. `clock` in seconds.
        """
        self._send, self._most, self._check, self._clock = send, most_bytes, check, clock

    def ship(self, traces: Sequence[Trace], pack: Callable[[Trace], Packed]) -> Answer:
        """The answer to all of them. Raises `OSError` where the destination answered to none."""
        told = self.send([pack(trace) for trace in giving_way(traces)])
        return Answer(told.accepted, told.refused, told.rest, told.error)

    def send(self, packed: Sequence[Packed], most: int = sys.maxsize) -> Told:
        """What the destination says to all of them, `most` in a request; raises `OSError` where it answers to none."""
        told, ends = Told(), self._clock() + SHIPMENT_SECONDS
        waiting = self._groups(packed, most)[::-1]
        while waiting and told.rest is None:
            if self._clock() > ends:
                told.error = f"not all was taken within {SHIPMENT_SECONDS:g} s"
                break
            try:
                group = waiting.pop()
                waiting += self._halves(group, self._send(group), told)[::-1]
            except OSError as error:
                if not told.accepted and not told.refused:
                    raise
                told.error = str(error)
                break
        return told

    def _halves(self, group: Sequence[Packed], reply: Reply, told: Told) -> list[list[Packed]]:
        """What is to be sent instead."""
        if reply is None:
            told.accepted += [packed.key for packed in group]
        elif isinstance(reply, Rest):
            told.rest, told.error = reply, reply.reason
        else:
            told.error = reply.reason
            if len(group) > 1:
                self._learn(group, reply)
                middle = len(group) // 2
                return [[*group[:middle]], [*group[middle:]]]
            return self._alone(group[0], reply, told)
        return []

    def _learn(self, group: Sequence[Packed], refusal: Refusal) -> None:
        if refusal.fault is Fault.TOO_LARGE:
            refused = sum(len(packed.body) for packed in group)
            self._most = min(self._most, max(LEAST_BYTES, refused * 3 // 4))

    def _alone(self, packed: Packed, reply: Refusal, told: Told) -> list[list[Packed]]:
        small = _smaller(packed) if reply.fault is Fault.TOO_LARGE else packed
        if len(small.body) < len(packed.body):
            return [[small]]
        if not told.accepted and not told.refused:
            told.rest = self._check()
        if told.rest is None:
            told.refused[packed.key] = reply.reason
        return []

    def _groups(self, packed: Sequence[Packed], most: int) -> list[list[Packed]]:
        """As many in each as fit; one that is larger alone goes in its smaller form, by itself."""
        groups: list[list[Packed]] = []
        room = 0
        for each in packed:
            fits = each if len(each.body) <= self._most else _smaller(each)
            if not groups or len(fits.body) > room or len(groups[-1]) >= most:
                groups.append([])
                room = self._most
            groups[-1].append(fits)
            room -= len(fits.body)
        return groups


def _smaller(packed: Packed) -> Packed:
    return packed if packed.small is None else Packed(packed.key, packed.small())
