"""The nearest prompts as the database finds them: beside the window in memory, for more prompts than fit there."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.repeats.looks import Place
from pipelines.repeats.protocol import Near, Neighbors, Vectors
from pipelines.repeats.window import packed


class VectorSearch(Protocol):
    """A search in the database. May raise anything while it is away."""

    def nearest(
        self, place: Place, seconds: float, embedder: str, vectors: Sequence[bytes], most: int, least: float
    ) -> list[list[tuple[str, float]]]:
        """For each stored vector (job id, cosine) of the nearest prompts of the last `seconds`."""
        ...


class StoredNeighbors:
    """See `Neighbors`: those of one workspace."""

    def __init__(self, search: VectorSearch, place: Place, seconds: float) -> None:
        self._search, self._place, self._seconds = search, place, seconds

    def nearest(self, embedder: str, vectors: Vectors, most: int, least: float) -> list[list[Near]]:
        """See `Neighbors.nearest`. One question for all vectors."""
        stored = [packed(row) for row in vectors]
        found = self._search.nearest(self._place, self._seconds, embedder, stored, most, least)
        return [[Near(job_id, cosine) for job_id, cosine in each] for each in found]


def stored_neighbors(search: VectorSearch, seconds: float) -> Callable[[Place], Neighbors]:
    """Those of any workspace."""
    return lambda place: StoredNeighbors(search, place, seconds)
