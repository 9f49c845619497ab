"""The newest prompts of one workspace: found by their fingerprints, and by their vectors."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.repeats.protocol import Vectors
from pipelines.similarity.recent import Prompt, RecentPrompts

_SCALE = 127.0
_NEWEST = 4


def packed(vectors: Vectors) -> list[bytes]:
    """Each vector in one signed byte a dimension, as it is stored."""
    rows: npt.NDArray[np.int8] = np.clip(np.rint(vectors * _SCALE), -127, 127).astype(np.int8)
    return [row.tobytes() for row in rows]


class Window:
    """Its bounds are a number of prompts and seconds. Not thread-safe."""

    def __init__(self, dimensions: int, most: int, seconds: float) -> None:
        self._dimensions, self._most, self._seconds = dimensions, most, seconds
        self._near = RecentPrompts(dimensions, most, seconds)
        self._jobs: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._equal: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, prompts: Iterable[tuple[str, str, bytes, float]]) -> None:
        """Remember prompts: job id, fingerprint, stored vector, time. Those that are known stay as they are."""
        new = [each for each in prompts if each[0] not in self._jobs and len(each[2]) == self._dimensions]
        if not new:
            return
        vectors = np.frombuffer(b"".join(vector for _, _, vector, _ in new), np.int8).astype(np.float32) / _SCALE
        kept = [Prompt(job_id, at) for job_id, _, _, at in new]
        self._near.add(kept, vectors.reshape(len(new), self._dimensions))
        for job_id, fingerprint, _, at in new:
            self._jobs[job_id] = fingerprint, at
            self._equal.setdefault(fingerprint, []).append(job_id)
        while len(self._jobs) > self._most:
            self._forget()

    def equal(self, fingerprint: str, but: str) -> tuple[list[str], int]:
        """The newest jobs with that fingerprint, newest first, and how many there are; without one of them."""
        ids = self._equal.get(fingerprint, [])
        count = len(ids) - (but in self._jobs and self._jobs[but][0] == fingerprint)
        return [job_id for job_id in ids[: -_NEWEST - 1 : -1] if job_id != but], count

    def nearest(self, vectors: Vectors, most: int, least: float) -> list[list[str]]:
        """For each vector the jobs whose prompts are nearest: `most` at most, at least `least` near, best first."""
        found = self._near.search(vectors, most)
        return [[n.prompt.job_id for n in row if n.cosine >= least and n.prompt.job_id in self._jobs] for row in found]

    def forget_before(self, since: float) -> None:
        """Forget what is older."""
        while self._jobs and next(iter(self._jobs.values()))[1] < since:
            self._forget()
        self._near.expire(since + self._seconds)

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
