"""Shipping in requests of a bounded size, and halving those that a destination does not take as they are.

So one trace that is too large, or that the destination takes for invalid, is found and no other has to wait for it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pipelines.analyze.protocol import Answer, Trace
from synthralos.domain.exports import Rest

LEAST_BYTES = 65_536
"""Bytes of a request that are tried again, however little a destination took before."""


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
    """One trace as it is sent. `small` is a smaller form of it, with a marker where something was left out."""

    job_id: str
    body: bytes
    small: Callable[[], bytes]


@dataclass(slots=True)
class _Told:
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    rest: Rest | None = None
    error: str | None = None

    def answer(self) -> Answer:
        return Answer(self.accepted, self.refused, self.rest, self.error)


class Splitter:
    """Sends traces by `send`, which is given several and raises `OSError` where nothing is answered."""

    def __init__(self, send: Callable[[Sequence[Packed]], Reply], most_bytes: int) -> None:
        """`most_bytes`: of the traces of a request; less, as soon as the destination takes no more."""
        self._send, self._most = send, most_bytes

    def ship(self, traces: Sequence[Trace], pack: Callable[[Trace], Packed]) -> Answer:
        """The answer to all of them. Raises `OSError` where the destination answered to none."""
        told = _Told()
        waiting = self._groups([_packed(pack, trace) for trace in traces])[::-1]
        while waiting and told.rest is None:
            group = waiting.pop()
            try:
                reply = self._send(group)
            except OSError as error:
                if not told.accepted and not told.refused:
                    raise
                told.error = str(error)
                break
            waiting += self._halves(group, reply, told)[::-1]
        return told.answer()

    def _halves(self, group: Sequence[Packed], reply: Reply, told: _Told) -> list[list[Packed]]:
        """What is to be sent instead."""
        if reply is None:
            told.accepted += [packed.job_id for packed in group]
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

    def _alone(self, packed: Packed, reply: Refusal, told: _Told) -> list[list[Packed]]:
        small = packed.small() if reply.fault is Fault.TOO_LARGE else packed.body
        if len(small) < len(packed.body):
            return [[Packed(packed.job_id, small, lambda: small)]]
        told.refused[packed.job_id] = reply.reason
        return []

    def _groups(self, packed: Sequence[Packed]) -> list[list[Packed]]:
        """As many in each as fit; one that is larger alone goes in its smaller form, by itself."""
        groups: list[list[Packed]] = []
        room = 0
        for each in packed:
            fits = each if len(each.body) <= self._most else _smaller(each)
            if not groups or len(fits.body) > room:
                groups.append([])
                room = self._most
            groups[-1].append(fits)
            room -= len(fits.body)
        return groups


def _packed(pack: Callable[[Trace], Packed], trace: Trace) -> Packed:
    time.sleep(0)  # gives way to threads that have jobs to do
    return pack(trace)


def _smaller(packed: Packed) -> Packed:
    small = packed.small()
    return Packed(packed.job_id, small, lambda: small)
