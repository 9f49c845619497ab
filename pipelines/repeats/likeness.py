"""The built-in likeness of prompts: hashed n-grams for the search, the pair model for a close look."""

import logging
from collections.abc import Sequence

from pipelines.repeats.protocol import Vectors
from pipelines.similarity.embedding import NgramEmbedder
from pipelines.similarity.pairs import PairModel, load_pair_model
from pipelines.similarity.plain import fingerprint
from pipelines.weights import WeightsError

log = logging.getLogger(__name__)


class NgramLikeness:
    """Needs no network. Immutable, so that threads share it.

    Where the weights of the pair model are damaged, only prompts with equal fingerprints are alike.
    """

    def __init__(self) -> None:
        self._embedder = NgramEmbedder()
        self._pairs = _pair_model()

    @property
    def embedder(self) -> str:
        """What made the vectors."""
        return self._embedder.name

    def fingerprint(self, text: str) -> str:
        """Equal for texts that are equal but for case, spacing and looks."""
        return fingerprint(text)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts."""
        return self._embedder.embed(texts)

    def same(self, one: str, other: str) -> float | None:
        """From 0 to 1, how surely they are the same prompt; None where they do not count as the same."""
        return None if self._pairs is None else self._pairs.same(one, other)


def _pair_model() -> PairModel | None:
    try:
        return load_pair_model()
    except WeightsError as error:
        log.error("prompts are compared by their fingerprints alone: %s", error)
        return None
