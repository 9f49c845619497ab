"""Prompts placed by a server of embeddings, and by the built-in embedder where it does not answer or may not know them.

Vectors carry what made them: those of one embedder are never compared with those of another.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pipelines.embedders.endpoint import EmbeddingsEndpoint
from pipelines.embedders.leaving import may_leave
from pipelines.repeats.protocol import Likeness, Vector, Vectors
from synthralos.domain.jobs import Job
from synthralos.telemetry.families import EMBEDDED
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LEAST_NEAR = 0.5
"""The cosine from which on prompts are compared closely: models differ, and the close look decides."""

_SPARE = 0.5
"""Seconds that the loop may need on top of the endpoint's own limit, before the thread gives up."""

OnLoop = Callable[[Coroutine[Any, Any, Vectors | None], float], Vectors | None]
"""Runs a coroutine on the event loop and waits for its end, so many seconds at most; raises `TimeoutError` then."""


class EndpointLikeness:
    """See `Likeness`. The close look and the fingerprints are the built-in ones: they need no network."""

    def __init__(
        self, built_in: Likeness, endpoint: EmbeddingsEndpoint, residency: str | None, on_loop: OnLoop, metrics: Metrics
    ) -> None:
        """`residency`: where the endpoint is declared to process data; None: nowhere."""
        self._built_in, self._endpoint = built_in, endpoint
        self._residency, self._on_loop = residency, on_loop
        self._kind = f"openai/{endpoint.model}/"
        self._counts = metrics.counters(EMBEDDED)

    def nearness(self, embedder: str) -> float | None:
        """See `Likeness.nearness`."""
        return LEAST_NEAR if embedder.startswith(self._kind) else self._built_in.nearness(embedder)

    def fingerprint(self, text: str) -> str:
        """See `Likeness.fingerprint`."""
        return self._built_in.fingerprint(text)

    def same(self, one: str, other: str) -> float | None:
        """See `Likeness.same`."""
        return self._built_in.same(one, other)

    def embed(self, jobs: Sequence[Job], texts: Sequence[str]) -> list[Vector]:
        """See `Likeness.embed`. Waits for the endpoint, all texts of the batch together, for its time limit at most."""
        sent = [
            n for n, (job, text) in enumerate(zip(jobs, texts, strict=True)) if may_leave(job, text, self._residency)
        ]
        self._counts[("kept",)].inc(len(texts) - len(sent))
        rows = self._asked([texts[place] for place in sent]) if sent else None
        self._counts[("endpoint" if rows is not None else "unanswered",)].inc(len(sent))
        found: dict[int, Vector] = {}
        if rows is not None:
            name = f"{self._kind}{rows.shape[1]}"
            found = {place: Vector(name, row) for place, row in zip(sent, rows, strict=True)}
        here = [place for place in range(len(texts)) if place not in found]
        if here:
            ours = self._built_in.embed([jobs[place] for place in here], [texts[place] for place in here])
            found.update(zip(here, ours, strict=True))
        return [found[place] for place in range(len(texts))]

    def _asked(self, texts: Sequence[str]) -> Vectors | None:
        try:
            return self._on_loop(self._endpoint.embed(texts), self._endpoint.seconds + _SPARE)
        except Exception:  # the loop hangs or has stopped: jobs go on with what is built in
            log.exception("the embeddings endpoint could not be asked")
            return None
