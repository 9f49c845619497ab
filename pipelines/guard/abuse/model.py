"""The abuse model: weights of a data file, and the scores that they give."""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.linear import LinearWeights
from pipelines.guard.abuse.noise import LEAST_CHARACTERS, CharacterModel, statistics
from pipelines.guard.abuse.reading import Read, read
from pipelines.guard.abuse.trees import Trees
from pipelines.weights import WeightsError, load_weights

Floats = npt.NDArray[np.float64]

LINEAR = ("injection", "jailbreak", "harm", "spam")
COLUMNS = (*LINEAR, "all", "window")
"""Of the weights: of whole texts, of all kinds together, and of an instruction in a window of a text."""
HEADS = (*LINEAR, "hidden", "noise")
"""What a prompt may be after. `injection`: other instructions, or to see ours; `hidden`: the same in a part of it."""

_WINDOW_COSTS = 3.0
"""A part says less than a whole text."""
_OVERALL = 0.5
_TOO_SHORT = -8.0


class Scores(NamedTuple):
    """Of a batch: `heads` has a row a text and a column a head (log-odds), `overall` one number a text."""

    heads: Floats
    overall: Floats


@dataclass(frozen=True, slots=True)
class AbuseModel:
    """Immutable, so that threads share it.

    `thresholds`, by head and one for all, are log-odds that one harmless text in a hundred reaches, on sources that
    training never saw. `weights` and `bias` have a column for each of `COLUMNS` but the last, which is `window`, and
    `rarity` says how rare each n-gram is.
    """

    weights: LinearWeights
    window: npt.NDArray[np.float32]
    window_bias: float
    rarity: npt.NDArray[np.int8]
    bias: npt.NDArray[np.float32]
    characters: CharacterModel
    trees: Trees
    thresholds: Floats

    def score(self, texts: list[str]) -> Scores:
        """The scores of each text."""
        if not texts:
            return Scores(np.zeros((0, len(HEADS))), np.zeros(0))
        return self.score_read(read(texts))

    def score_read(self, found: Read) -> Scores:
        """The scores of texts that were read."""
        linear = self.weights.scores(found.grams.distinct()) + self.bias
        noise = self.trees.score(statistics(found.texts, self.characters))
        noise[[len(text) < LEAST_CHARACTERS for text in found.texts]] = _TOO_SHORT
        window = found.grams.best_window(self.window) + self.window_bias
        heads = np.column_stack([linear[:, : len(LINEAR)], window - _WINDOW_COSTS, noise])
        overall = np.logaddexp.reduce(heads, axis=1) + _OVERALL * linear[:, len(LINEAR)]
        return Scores(heads, overall)


@cache
def load_model() -> AbuseModel:
    """The model of the data file that is shipped, read once a process; raises `WeightsError`."""
    try:
        return model_of(load_weights(__package__, "abuse"))
    except KeyError as error:
        raise WeightsError(f"the weights of the abuse model are those of another version: {error}") from error


def model_of(arrays: dict[str, Any]) -> AbuseModel:
    """The model of arrays by name, as `scripts/abuse_model` makes them."""
    bias = arrays["bias"]
    if not arrays["weights"].shape[1] == len(arrays["scale"]) == len(bias) == len(COLUMNS):
        raise WeightsError("the weights of the abuse model are those of another version")
    characters = CharacterModel(arrays["pairs"], arrays["triples"], np.unpackbits(arrays["words"]).astype(bool))
    trees = Trees(*(arrays[f"tree_{name}"] for name in ("feature", "threshold", "left", "right", "value", "roots")))
    weights, scale = arrays["weights"], arrays["scale"]
    return AbuseModel(
        LinearWeights.of(weights[:, :-1], scale[:-1]),
        weights[:, -1].astype(np.float32) * scale[-1],
        float(bias[-1]),
        arrays["rarity"],
        bias[:-1],
        characters,
        trees,
        arrays["thresholds"].astype(np.float64),
    )
