"""A second look by a transformer: linear heads on the vector that a sentence encoder gives a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.encoders.protocol import Encoder, EncoderError
from pipelines.guard.abuse.model import HEADS, LINEAR
from pipelines.guard.second_look.protocol import Floats
from pipelines.weights import WeightsError, load_weights

MODEL = "all-MiniLM-L6-v2"
"""The encoder that the heads that are shipped belong to, in any precision."""

PROBE = "Summarize the attached report in three sentences, and name its author."
"""What an encoder has to place where `MODEL` does (a quantized one comes to a cosine of 0.9996)."""

LEAST_ALIKE = 0.95

COLUMNS = (*LINEAR, "all")
"""What the heads score. What hides in a part of a text, and noise, are the first look's alone."""


@dataclass(frozen=True, slots=True)
class DeepHeads:
    """Immutable. `weights` (a row a dimension) and `bias` have a column for each of `COLUMNS`.

    `share` is what their log-odds count beside the first look's; `thresholds` are those of the sums, by head and one
    over all; `zone` is where the first look is not sure; `probe` is where the encoder places `PROBE`.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    share: float
    thresholds: Floats
    zone: tuple[float, float]
    probe: npt.NDArray[np.float32]

    def add(self, vectors: npt.NDArray[np.float32], scores: Floats) -> Floats:
        """The scores of the first look with those of the vectors added: the same columns."""
        mine = (vectors @ self.weights + self.bias).astype(np.float64)
        overall = np.logaddexp.reduce(mine[:, : len(LINEAR)], axis=1) + 0.5 * mine[:, len(LINEAR)]
        summed = scores.copy()
        summed[:, : len(LINEAR)] += self.share * mine[:, : len(LINEAR)]
        summed[:, len(HEADS)] += self.share * overall
        return summed


class TransformerLook:
    """See `SecondLook`."""

    def __init__(self, encoder: Encoder, heads: DeepHeads, seconds: float, fails_open: bool) -> None:
        """Raises `EncoderError` where the encoder is not the one that the heads were trained on."""
        self._encoder, self._heads = encoder, heads
        self.seconds, self.fails_open = seconds, fails_open
        [placed] = encoder.encode([PROBE], _PROBE_SECONDS)
        if placed is None or placed.shape != heads.probe.shape or float(placed @ heads.probe) < LEAST_ALIKE:
            raise EncoderError(f"{encoder.name} is another model than {MODEL}, which the second look was trained on")

    @property
    def zone(self) -> tuple[float, float]:
        """See `SecondLook.zone`."""
        return self._heads.zone

    def look(self, texts: Sequence[str], scores: Floats) -> list[Floats | None]:
        """See `SecondLook.look`."""
        vectors = self._encoder.encode(texts, self.seconds)
        found: list[Floats | None] = [None] * len(texts)
        seen = [place for place, vector in enumerate(vectors) if vector is not None]
        if seen:
            rows = np.stack([vector for vector in vectors if vector is not None])
            above = self._heads.add(rows, scores[seen]) - self._heads.thresholds
            for place, row in zip(seen, above, strict=True):
                found[place] = row
        return found


_PROBE_SECONDS = 60.0


def load_heads() -> DeepHeads:
    """The heads that are shipped; raises `WeightsError`."""
    try:
        return heads_of(load_weights(__package__, "second look"))
    except KeyError as error:
        raise WeightsError(f"the weights of the second look are those of another version: {error}") from error


def heads_of(arrays: dict[str, Any]) -> DeepHeads:
    """The heads of arrays by name, as `scripts/second_look.py` makes them."""
    low, high = arrays["zone"].tolist()
    return DeepHeads(
        arrays["weights"].astype(np.float32),
        arrays["bias"].astype(np.float32),
        float(arrays["share"]),
        arrays["thresholds"].astype(np.float64),
        (low, high),
        arrays["probe"].astype(np.float32),
    )
