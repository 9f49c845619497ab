"""The newest prompts of one workspace: found by their fingerprints, and by their vectors."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.repeats.protocol import Near, Vectors
from pipelines.similarity.recent import Prompt, RecentPrompts

_SCALE = 127.0
_NEWEST = 4


def packed(numbers: npt.NDArray[np.float32]) -> bytes:
    """A vector in one signed byte a dimension, as it is stored."""
    row: npt.NDArray[np.int8] = np.clip(np.rint(numbers * _SCALE), -127, 127).astype(np.int8)
    return row.tobytes()


class Seen(NamedTuple):
    """A prompt as a window keeps it; `vector` as it is stored, `at` in seconds since the epoch."""

    job_id: str
    fingerprint: str
    embedder: str
    vector: bytes
    at: float


class Window:
    """Its bounds are a number of prompts and seconds. Not thread-safe."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._near: dict[str, RecentPrompts] = {}
        self._jobs: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._equal: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, prompts: Iterable[Seen]) -> None:
        """Remember prompts. Those that are known stay as they are."""
        new: dict[str, list[Seen]] = {}
        for each in prompts:
            if each.job_id in self._jobs:
                continue
            self._jobs[each.job_id] = each.fingerprint, each.at
            self._equal.setdefault(each.fingerprint, []).append(each.job_id)
            new.setdefault(each.embedder, []).append(each)
        for embedder, some in new.items():
            self._place(embedder, some)
        while len(self._jobs) > self._most:
            self._forget()

    def _place(self, embedder: str, seen: Sequence[Seen]) -> None:
        """Remember where prompts are, but for those that have another number of dimensions than the first."""
        near = self._near.get(embedder)
        if near is None:
            near = self._near[embedder] = RecentPrompts(len(seen[0].vector), self._most, self._seconds)
        fit = [each for each in seen if len(each.vector) == near.dimensions]
        vectors = np.frombuffer(b"".join(each.vector for each in fit), np.int8).astype(np.float32) / _SCALE
        near.add([Prompt(each.job_id, each.at) for each in fit], vectors.reshape(len(fit), near.dimensions))

    def equal(self, fingerprint: str, but: str) -> tuple[list[str], int]:
        """The newest jobs with that fingerprint, newest first, and how many there are; without one of them."""
        ids = self._equal.get(fingerprint, [])
        count = len(ids) - (but in self._jobs and self._jobs[but][0] == fingerprint)
        return [job_id for job_id in ids[: -_NEWEST - 1 : -1] if job_id != but], count

    def nearest(self, embedder: str, vectors: Vectors, most: int, least: float) -> list[list[Near]]:
        """See `Neighbors.nearest`."""
        near = self._near.get(embedder)
        if near is None or near.dimensions != vectors.shape[1]:
            return [[] for _ in vectors]
        found = near.search(vectors, most)
        return [
            [Near(n.prompt.job_id, n.cosine) for n in row if n.cosine >= least and n.prompt.job_id in self._jobs]
            for row in found
        ]

    def forget_before(self, since: float) -> None:
        """Forget what is older."""
        while self._jobs and next(iter(self._jobs.values()))[1] < since:
            self._forget()
        for near in self._near.values():
            near.expire(since + self._seconds)

    def _forget(self) -> None:
        job_id, (fingerprint, _) = self._jobs.popitem(last=False)
        same = self._equal[fingerprint]
        same.remove(job_id)
        if not same:
            del self._equal[fingerprint]


def near_in_batch(vectors: Vectors, least: float) -> Sequence[Sequence[int]]:
    """For each vector those before it that are at least `least` near, nearest first."""
    near = np.tril(np.einsum("id,jd->ij", vectors, vectors), -1)
    found = []
    for row in near:
        places = np.flatnonzero(row >= least)
        found.append(places[np.argsort(-row[places])].tolist())
    return found
