"""Whose turn it is: start-time fair queuing in tokens by weight (Goyal, Vin and Cheng 1996), on each level of a tenant.

Organizations share what there is; the workspaces of one share its turn, and the users of a workspace share that one's.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import NamedTuple, TypeVar

from synthralos.domain.jobs import DEFAULT_WORKSPACE

SEPARATOR = "\x1f"
"""Between the parts of a line's name; no name of a tenant has it."""

Path = tuple[str, ...]
"""Organization, workspace, and the user whom the sender's key is bound to (`""`: it is bound to none)."""


def line_name(organization: str, workspace: str, user: str | None = None) -> str:
    """What the line of such jobs is called; that of the default workspace like its organization."""
    if user:
        return SEPARATOR.join((organization, workspace, user))
    return organization if workspace == DEFAULT_WORKSPACE else SEPARATOR.join((organization, workspace))


def path_of(line: str) -> Path:
    """The inverse of `line_name`."""
    organization, _, inner = line.partition(SEPARATOR)
    workspace, _, user = inner.partition(SEPARATOR)
    return organization, workspace or DEFAULT_WORKSPACE, user


class Turn(NamedTuple):
    """Somebody who waits, and the tokens that will be taken."""

    id: str
    tokens: int


class Line(NamedTuple):
    """The head of a line, first come, first served, and a weight (more than 0) for each part of its path."""

    head: Iterable[Turn]
    weights: Sequence[float]


class Turns:
    """Counts what everybody has had. Who waits gets tokens by weight, and nobody is passed over for ever.

    Who comes anew begins beside the others: nobody saves up for later, or owes for a time in which nobody else waited.
    Paths are all of one length.
    """

    def __init__(self) -> None:
        self._shares = _Shares()

    def next(self, lines: Mapping[Path, Line], most: int) -> list[str]:
        """The ids of those whose turn it is, `most` of them at most, in order. They count as served."""
        waiting = self._shares.queue([(path, line.weights, iter(line.head)) for path, line in lines.items()], 0)
        return [turn.id for turn in islice(waiting, most)]

    def first(self, paths: Collection[Path], most: int) -> list[Path]:
        """Those that have had least, `most` at most: one of each organization, then the next of each."""
        return list(islice(self._shares.in_turn(paths, 0), most))


_Waiting = tuple[Path, Sequence[float], Iterator[Turn]]
_Item = TypeVar("_Item")

MOST_KEPT = 4_096
"""Members that share further and do not wait just now, of whom it is known what each of theirs has had."""


class _Shares:
    """What the members of one level have had, and how each shares it further.

    A member that is one line has nobody to share with, and is remembered no further until it was two.
    """

    __slots__ = ("_had", "_inner", "_now")

    def __init__(self) -> None:
        self._now = 0.0
        self._had: dict[str, float] = {}
        self._inner: dict[str, _Shares] = {}

    def queue(self, lines: Collection[_Waiting], level: int) -> Iterator[Turn]:
        """Who waits in these lines, in the order of their turns; whoever was taken counts as served."""
        members = _by_member(lines, level, lambda waiting: waiting[0])
        self._forget(members)
        weights = {name: found[0][1][level] for name, found in members.items()}
        turns = {name: self._turns(name, found, level) for name, found in members.items()}
        heap = [(self._starts(name), name) for name in turns]
        heapify(heap)
        while heap:
            start, name = heap[0]
            turn = next(turns[name], None)
            if turn is None:
                heappop(heap)
                continue
            self._now = start
            self._had[name] = start + max(turn.tokens, 1) / weights[name]
            heapreplace(heap, (self._had[name], name))
            yield turn

    def in_turn(self, paths: Collection[Path], level: int) -> Iterator[Path]:
        """One path of each member, those first that have had least, then the next of each."""
        members = _by_member(paths, level, lambda path: path)
        self._forget(members)
        ordered = sorted(members, key=lambda name: (self._starts(name), name))
        waiting = deque(self._paths(name, members[name], level) for name in ordered)
        while waiting:
            path = next(waiting[0], None)
            if path is None:
                waiting.popleft()
            else:
                waiting.rotate(-1)
                yield path

    def _turns(self, name: str, found: Sequence[_Waiting], level: int) -> Iterator[Turn]:
        inner = self._within(name, len(found))
        return found[0][2] if inner is None else inner.queue(found, level + 1)

    def _paths(self, name: str, found: Sequence[Path], level: int) -> Iterator[Path]:
        inner = self._within(name, len(found))
        return iter(found) if inner is None else inner.in_turn(found, level + 1)

    def _within(self, name: str, count: int) -> "_Shares | None":
        if count > 1 and name not in self._inner:
            self._inner[name] = _Shares()
        return self._inner.get(name)

    def _starts(self, name: str) -> float:
        return max(self._now, self._had.get(name, 0.0))

    def _forget(self, present: Collection[str]) -> None:
        """Those who owe nothing, and of many that share further those who do not wait."""
        self._had = {name: had for name, had in self._had.items() if had > self._now}
        if len(self._inner) > MOST_KEPT:
            self._inner = {name: each for name, each in self._inner.items() if name in present or name in self._had}


def _by_member(items: Iterable[_Item], level: int, path: Callable[[_Item], Path]) -> dict[str, list[_Item]]:
    members: dict[str, list[_Item]] = {}
    for item in items:
        members.setdefault(path(item)[level], []).append(item)
    return members
