"""Prompts placed by a sentence encoder that runs here, and by the built-in embedder where time runs out.

No text leaves the process, so every prompt may be placed: private data and prompts that are bound to the EU as well.
"""

import logging
from collections.abc import Sequence

from pipelines.encoders.protocol import Encoder
from pipelines.encoders.protocol import Vector as Row
from pipelines.repeats.protocol import Likeness, Vector
from pipelines.similarity.embedding import READ
from pipelines.similarity.reading import excerpt
from synthralos.domain.jobs import Job
from synthralos.telemetry.families import EMBEDDED
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LEAST_NEAR = 0.5
"""The cosine from which on prompts are compared closely: models differ, and the close look decides."""


class EncoderLikeness:
    """See `Likeness`. The close look and the fingerprints are the built-in ones."""

    def __init__(self, built_in: Likeness, encoder: Encoder, seconds: float, metrics: Metrics) -> None:
        """`seconds`: what a batch of prompts may take."""
        self._built_in, self._encoder, self._seconds = built_in, encoder, seconds
        self._name = f"sentence-transformers/{encoder.name}/{encoder.dimensions}"
        self._counts = metrics.counters(EMBEDDED)

    def nearness(self, embedder: str) -> float | None:
        """See `Likeness.nearness`."""
        return LEAST_NEAR if embedder == self._name else self._built_in.nearness(embedder)

    def fingerprint(self, text: str) -> str:
        """See `Likeness.fingerprint`."""
        return self._built_in.fingerprint(text)

    def same(self, one: str, other: str) -> float | None:
        """See `Likeness.same`."""
        return self._built_in.same(one, other)

    def embed(self, jobs: Sequence[Job], texts: Sequence[str]) -> list[Vector]:
        """See `Likeness.embed`. Takes the batch's thread for its time limit at most."""
        rows = self._encoded([excerpt(text, READ) for text in texts])
        found = {place: Vector(self._name, row) for place, row in enumerate(rows) if row is not None}
        self._counts[("encoder",)].inc(len(found))
        late = [place for place in range(len(texts)) if place not in found]
        if late:
            self._counts[("unanswered",)].inc(len(late))
            ours = self._built_in.embed([jobs[place] for place in late], [texts[place] for place in late])
            found.update(zip(late, ours, strict=True))
        return [found[place] for place in range(len(texts))]

    def _encoded(self, texts: Sequence[str]) -> list[Row | None]:
        try:
            return self._encoder.encode(texts, self._seconds)
        except Exception:  # the edge to a model of anybody's: jobs go on with what is built in
            log.exception("the sentence encoder %s failed", self._encoder.name)
            return [None] * len(texts)
