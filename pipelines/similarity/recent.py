"""The last prompts of one tenant, in memory, within bounds of time, number and bytes.

A vector is kept twice: on which side of 512 random planes it lies, a bit each (Charikar, 2002), by which all prompts
are looked through, and its numbers as signed bytes, by which the nearest of these are put in order.

Products are made by `einsum`: a BLAS library splits them among threads, which wait for each other where the machine is
busy (16 ms instead of 0.1).
"""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.similarity.embedding import Floats

_LOOKED_AT = 2_000
"""Of the nearest by bits, so many are compared by numbers."""
_PLANES = 512
_SMALLEST, _ADDED_AT_ONCE = 64, 4_096
_ID = 100
"""Bytes that an id takes, with what Python needs beside it."""

_Bits = npt.NDArray[np.uint64]
_Places = npt.NDArray[np.int64]


class Prompt(NamedTuple):
    """A prompt as it is kept: `at` in seconds of any clock that all prompts of a window share."""

    job_id: str
    at: float


class Near(NamedTuple):
    """A prompt that was found, and how near its vector is (1: the same direction)."""

    prompt: Prompt
    cosine: float


class _Rows:
    """Room for so many prompts: the rows of a ring."""

    def __init__(self, dimensions: int, room: int) -> None:
        self.room = room
        self.bits: _Bits = np.zeros((_PLANES // 64, room), np.uint64)
        self.numbers = np.zeros((room, dimensions), np.int8)
        self.scales = np.zeros(room, np.float32)
        self.times = np.zeros(room)
        self.ids: list[str] = [""] * room

    def moved(self, order: _Places, room: int) -> "_Rows":
        """The rows at the places, first of all, with more room."""
        rows, count = _Rows(self.numbers.shape[1], room), len(order)
        rows.bits[:, :count] = self.bits[:, order]
        rows.numbers[:count], rows.scales[:count] = self.numbers[order], self.scales[order]
        rows.times[:count] = self.times[order]
        rows.ids[:count] = [self.ids[was] for was in order.tolist()]
        return rows

    def put(self, at: _Places, prompts: Sequence[Prompt], embeddings: Floats) -> None:
        """Writes prompts and their vectors."""
        scales = np.abs(embeddings).max(axis=1, initial=0) / 127
        self.bits[:, at] = _signs(embeddings)
        self.numbers[at], self.scales[at] = np.rint(embeddings / np.where(scales > 0, scales, 1)[:, None]), scales
        self.times[at] = [prompt.at for prompt in prompts]
        for place, prompt in zip(at.tolist(), prompts, strict=True):
            self.ids[place] = prompt.job_id

    def prompt(self, place: int) -> Prompt:
        """The prompt that stands there."""
        return Prompt(self.ids[place], float(self.times[place]))


class RecentPrompts:
    """A ring of prompts, oldest first out. Safe for threads: one lock for each call.

    Bounds: `most` prompts, and `seconds` of time.
    """

    def __init__(self, dimensions: int, most: int = 100_000, seconds: float = 86_400.0) -> None:
        self.dimensions, self._most, self._seconds = dimensions, most, seconds
        self._lock = Lock()
        self._clear()

    def _clear(self) -> None:
        self._rows = _Rows(self.dimensions, min(_SMALLEST, self._most))
        self._first = self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """What the window takes, about."""
        row = self.dimensions + _PLANES // 8 + 20  # and a scale, a time, a reference
        return self._rows.room * row + self._count * _ID

    def add(self, prompts: Sequence[Prompt], embeddings: Floats) -> None:
        """Keeps the prompts, a row of `embeddings` each; what is oldest goes where there is no room."""
        if embeddings.shape != (len(prompts), self.dimensions):
            raise ValueError(f"{len(prompts)} prompts need as many vectors of {self.dimensions} numbers")
        with self._lock:
            step = min(self._most, _ADDED_AT_ONCE)
            for begin in range(0, len(prompts), step):
                self._add(prompts[begin : begin + step], embeddings[begin : begin + step])

    def _add(self, prompts: Sequence[Prompt], embeddings: Floats) -> None:
        count = len(prompts)
        self._make_room(min(self._count + count, self._most))
        self._drop(self._count + count - self._rows.room)
        self._rows.put(self._places(self._count, count), prompts, embeddings)
        self._count += count

    def search(self, embeddings: Floats, k: int, now: float | None = None) -> list[list[Near]]:
        """For each vector the `k` nearest prompts, nearest first, of equals the newest first.

        With `now`, what is older than the window is forgotten first. That the nearest is among them is likely, not
        certain: `make bench NAME=similarity` measures it.
        """
        with self._lock:
            if now is not None:
                self._expire(now)
            if not self._count or k < 1:
                return [[] for _ in embeddings]
            if self._count <= max(k, _LOOKED_AT):
                places = self._places(0, self._count)
                return [self._best(places, cosines, k) for cosines in self._cosines(places, embeddings)]
            signs = _signs(embeddings).T
            return [self._nearest(embedding, bits, k) for embedding, bits in zip(embeddings, signs, strict=True)]

    def expire(self, now: float) -> None:
        """Forgets what is older than the window."""
        with self._lock:
            self._expire(now)

    def _nearest(self, embedding: Floats, signs: _Bits, k: int) -> list[Near]:
        places = self._candidates(signs, max(k, _LOOKED_AT))
        return self._best(places, self._cosines(places, embedding[None, :])[0], k)

    def _cosines(self, places: _Places, embeddings: Floats) -> Floats:
        """A row for each of the embeddings, a column for each place."""
        rows = self._rows
        products = np.einsum("nd,bd->bn", rows.numbers[places].astype(np.float32), embeddings)
        cosines: Floats = products * rows.scales[places]
        return cosines

    def _best(self, places: _Places, cosines: Floats, k: int) -> list[Near]:
        if k < len(cosines):
            near = np.flatnonzero(cosines >= np.partition(cosines, -k)[-k])
            places, cosines = places[near], cosines[near]
        age = (places - self._first) % self._rows.room
        best = np.lexsort((-age, -cosines))[:k]
        found = zip(cosines[best].tolist(), places[best].tolist(), strict=True)
        return [Near(self._rows.prompt(place), cosine) for cosine, place in found]

    def _candidates(self, signs: _Bits, count: int) -> _Places:
        """The places of the rows whose bits differ least, fewer than there are."""
        end, room = self._first + self._count, self._rows.room
        read = min(end, room)
        distances = np.zeros(read, np.uint16)
        for word, sign in zip(self._rows.bits, signs, strict=True):
            distances += np.bitwise_count(word[:read] ^ sign)
        distances[max(end - room, 0) : self._first] = np.iinfo(np.uint16).max  # what holds nothing is behind all others
        found: _Places = np.argpartition(distances, count - 1)[:count]
        return found

    def _places(self, begin: int, count: int) -> _Places:
        """Where the prompts stand, counted from the oldest."""
        return (self._first + np.arange(begin, begin + count)) % self._rows.room

    def _make_room(self, wanted: int) -> None:
        room = self._rows.room
        if wanted > room:
            self._rows = self._rows.moved(self._places(0, self._count), min(self._most, max(wanted, room * 2)))
            self._first = 0

    def _drop(self, count: int) -> None:
        """Forgets the oldest."""
        rows = self._rows
        for _ in range(min(count, self._count)):
            place = self._first
            rows.ids[place] = ""
            self._first, self._count = (place + 1) % rows.room, self._count - 1

    def _expire(self, now: float) -> None:
        while self._count and self._rows.times[self._first] < now - self._seconds:
            self._drop(1)
        if not self._count and self._rows.room > _SMALLEST:
            self._clear()


def _signs(embeddings: Floats) -> _Bits:
    """A column of words a vector: a bit is 1 where the vector is above the plane."""
    above = np.einsum("nd,dp->np", embeddings, _planes(embeddings.shape[1])) > 0
    packed: _Bits = np.packbits(above, axis=1).view(np.uint64).T
    return packed


@cache
def _planes(dimensions: int) -> Floats:
    return np.random.default_rng(1).standard_normal((dimensions, _PLANES), np.float32)
