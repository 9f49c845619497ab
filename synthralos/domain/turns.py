"""Whose turn it is: organizations share by weight, in tokens (start-time fair queuing, Goyal, Vin and Cheng 1996)."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple


class Turn(NamedTuple):
    """Somebody who waits, and the tokens that will be taken."""

    id: str
    tokens: int


class Line(NamedTuple):
    """The head of an organization's line, first come first, and the organization's weight (more than 0)."""

    head: Sequence[Turn]
    weight: float


class Turns:
    """Counts what everybody has had. Who waits gets tokens by weight, and nobody is passed over for ever.

    Who comes anew begins beside the others: nobody saves up for later, or owes for a time in which nobody else waited.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._had: dict[str, float] = {}

    def next(self, lines: Mapping[str, Line], most: int) -> list[str]:
        """The ids of those whose turn it is, `most` of them at most, in order. They count as served."""
        self._had = {name: had for name, had in self._had.items() if had > self._now}
        heap = [(self._starts(name), name, 0) for name, line in lines.items() if line.head]
        heapify(heap)
        called: list[str] = []
        while heap and len(called) < most:
            self._now, name, place = heappop(heap)
            line = lines[name]
            turn = line.head[place]
            called.append(turn.id)
            self._had[name] = self._now + max(turn.tokens, 1) / line.weight
            if place + 1 < len(line.head):
                heappush(heap, (self._had[name], name, place + 1))
        return called

    def first(self, names: Sequence[str], most: int) -> list[str]:
        """Those of the names that have had least, `most` of them at most."""
        return sorted(names, key=self._starts)[:most]

    def _starts(self, name: str) -> float:
        return max(self._now, self._had.get(name, 0.0))
