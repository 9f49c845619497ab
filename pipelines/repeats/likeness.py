"""The built-in likeness of prompts: hashed n-grams for the search, the pair model for a close look."""

import logging
from collections.abc import Sequence

from pipelines.repeats.protocol import Vector
from pipelines.similarity.embedding import NgramEmbedder
from pipelines.similarity.pairs import PairModel, load_pair_model
from pipelines.similarity.plain import fingerprint
from pipelines.weights import WeightsError
from synthralos.domain.jobs import Job

LEAST_NEAR = 0.65
"""The cosine from which on prompts are compared closely. Of those that count as the same, 99 in 100 reach it; of
prompts that have nothing to do with each other, fewer than one in a thousand does."""

log = logging.getLogger(__name__)


class NgramLikeness:
    """Needs no network. Immutable, so that threads share it.

    Where the weights of the pair model are damaged, only prompts with equal fingerprints are alike.
    """

    def __init__(self) -> None:
        self._embedder = NgramEmbedder()
        self._pairs = _pair_model()

    def nearness(self, embedder: str) -> float | None:
        """See `Likeness.nearness`."""
        return LEAST_NEAR if embedder == self._embedder.name else None

    def fingerprint(self, text: str) -> str:
        """Equal for texts that are equal but for case, spacing and looks."""
        return fingerprint(text)

    def embed(self, jobs: Sequence[Job], texts: Sequence[str]) -> list[Vector]:
        """See `Likeness.embed`: whose the texts are does not matter, for they go nowhere."""
        name = self._embedder.name
        return [Vector(name, row) for row in self._embedder.embed(texts)]

    def same(self, one: str, other: str) -> float | None:
        """From 0 to 1, how surely they are the same prompt; None where they do not count as the same."""
        return None if self._pairs is None else self._pairs.same(one, other)


def _pair_model() -> PairModel | None:
    try:
        return load_pair_model()
    except WeightsError as error:
        log.error("prompts are compared by their fingerprints alone: %s", error)
        return None
