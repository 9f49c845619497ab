"""The streams of one process: what the embedded system has."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from synthralos.domain.deltas import Chunk, Place
from synthralos.streams.protocol import KEEP_SECONDS, MOST_CHUNKS, Listener

MOST_CHARACTERS = 64 * 1024 * 1024
"""What is kept of all jobs together, in characters; beyond it the jobs that began first are forgotten."""

_CHUNK = 200
"""What a chunk weighs besides its text."""


class _Kept:
    """The chunks of one job."""

    __slots__ = ("began", "chunks", "size")

    def __init__(self, began: float) -> None:
        self.began, self.size = began, 0
        self.chunks: list[Chunk] = []


class MemoryStreams:
    """See `Streams`. All who listen are here, so that they are told of everything."""

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._listeners: tuple[Listener, ...] = ()

    def append(self, chunks: Sequence[Chunk]) -> None:
        """See `Streams.append`. Never away."""
        with self._lock:
            for chunk in chunks:
                self._keep(chunk)
            self._forget()
        for listener in self._listeners:
            listener(chunks)

    def after(self, places: Mapping[str, Place]) -> dict[str, list[Chunk]]:
        """See `Streams.after`."""
        with self._lock:
            return {job_id: _following(self._jobs.get(job_id), place) for job_id, place in places.items()}

    def forget(self, job_ids: Iterable[str]) -> None:
        """See `Streams.forget`. Never away."""
        with self._lock:
            for job_id in job_ids:
                kept = self._jobs.pop(job_id, None)
                self._size -= 0 if kept is None else kept.size

    def hear(self, listener: Listener) -> None:
        """See `Streams.hear`."""
        self._listeners = (*self._listeners, listener)

    def listens(self, job_ids: Iterable[str]) -> None:
        """See `Streams.listens`."""

    def close(self) -> None:
        """See `Streams.close`."""
        self._listeners = ()

    def _keep(self, chunk: Chunk) -> None:
        kept = self._jobs.get(chunk.job_id)
        if kept is None:
            kept = self._jobs[chunk.job_id] = _Kept(time.monotonic())
        late = bool(kept.chunks) and _number(kept.chunks[-1].place) >= _number(chunk.place)
        if late and chunk.place in [other.place for other in kept.chunks]:
            return
        kept.chunks.append(chunk)
        if late:
            kept.chunks.sort(key=lambda each: _number(each.place))
        size = _CHUNK + len(chunk.text) + len(chunk.reasoning)
        kept.size += size
        self._size += size

    def _forget(self) -> None:
        old = time.monotonic() - KEEP_SECONDS
        while self._jobs:
            job_id, kept = next(iter(self._jobs.items()))
            if self._size <= self._most and kept.began >= old:
                return
            self._size -= kept.size
            del self._jobs[job_id]


def _following(kept: _Kept | None, place: Place) -> list[Chunk]:
    if kept is None:
        return []
    return [chunk for chunk in kept.chunks if _number(chunk.place) > _number(place)][:MOST_CHUNKS]


def _number(place: Place) -> tuple[int, int]:
    return place.attempt, place.chunk
