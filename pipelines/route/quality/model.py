"""The quality model: what kind of task a prompt is, and what a strong model would gain over a weak one.

A ridge regression on the words and on random waves of the measures (which stand for a Gaussian kernel on these), so
that it costs a sum of rows and a small product. `scripts/quality_model` makes the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.route.quality.features import BUCKETS, MEASURES, Features, Floats, read_features
from pipelines.weights import WeightsError, load_weights
from synthralos.domain.quality import KINDS

_ANOTHER_VERSION = "the weights of the quality model are those of another version"

CHARACTERS_PER_TOKEN = 4
MOST_DEVIATIONS = 4.0
"""A measure counts no more than so many standard deviations from its mean."""

KIND_SHARPNESS, BAND_SHARPNESS = 4.0, 10.0
"""How much surer a kind or a band becomes by an output that is higher by one: the exponent of the softmax."""

_HEADS = 2 + len(KINDS)
"""Columns before those of the bands."""

MOST_OUTPUT = 400.0
"""Output tokens that are expected at most: no training row had more by far."""


@dataclass(frozen=True, slots=True)
class Space:
    """What words and measures count: fitted once on all training texts, without their labels."""

    rarity: Floats
    mean: Floats
    deviation: Floats
    waves: Floats
    phases: Floats

    def words(self, found: Features) -> Floats:
        """The weight of each entry of `found`; those of a text have length one."""
        weights = (1 + np.log(found.times)) * self.rarity.take(found.bucket)
        length = np.sqrt(np.bincount(found.text, weights * weights, len(found.measures)))
        scaled: Floats = (weights / np.maximum(length, 1e-9)[found.text]).astype(np.float32)
        return scaled

    def shape(self, found: Features) -> Floats:
        """The waves of each text's measures: a row a text, of length about one."""
        z = (found.measures - self.mean) / self.deviation
        z = np.minimum(np.maximum(z, -MOST_DEVIATIONS), MOST_DEVIATIONS)
        shaped: Floats = np.cos(z @ self.waves + self.phases) * np.float32(np.sqrt(2 / len(self.phases)))
        return shaped


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of a batch, a row a text.

    `gain`: the quality of a strong model less that of a weak one (-1 to 1); `output`: tokens that it would answer with;
    `kinds`: how likely each of `KINDS` is; `familiar`: whether the text is like those of any kind.
    """

    gain: npt.NDArray[np.float64]
    output: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.float64]
    familiar: npt.NDArray[np.bool_]


class NineModels(NamedTuple):
    """The nine models of the training data: their quality by kind (a row a kind), and their prices.

    `prices` has USD per million input and output tokens; `exchange` is the quality that is given up for a cost of one.
    """

    names: tuple[str, ...]
    quality: npt.NDArray[np.float64]
    prices: npt.NDArray[np.float64]
    exchange: float
    best: int


@dataclass(frozen=True, slots=True)
class QualityModel:
    """Immutable, so that threads share it. The columns of `words` and `shape`: gain, log of the output, kinds, bands.

    A band is the tasks on which a strong model gains about as much: `band_gains` is what each adds to the gain.
    `familiar_from` is the output of the likeliest kind below which a text is like none.
    """

    space: Space
    words: Floats
    shape: Floats
    bias: Floats
    band_gains: npt.NDArray[np.float64]
    familiar_from: float
    nine: NineModels

    def judge(self, texts: Sequence[str]) -> Judgement:
        """See `Judgement`; a batch costs less a text than one alone."""
        found = read_features(texts)
        outputs = self._outputs(found).astype(np.float64)
        kinds, bands = outputs[:, 2:_HEADS], outputs[:, _HEADS:]
        output = np.minimum(np.maximum(np.expm1(np.minimum(outputs[:, 1], 10)), 1), MOST_OUTPUT)
        best = kinds.max(axis=1) if len(kinds) else np.zeros(0)
        gain = gain_of(outputs[:, 0], bands, self.band_gains)
        return Judgement(gain, output, probabilities(kinds, KIND_SHARPNESS), best >= self.familiar_from)

    def _outputs(self, found: Features) -> Floats:
        if not len(found.measures):
            return np.zeros((0, len(self.bias)), np.float32)
        rows = self.words.take(found.bucket, 0) * self.space.words(found)[:, None]
        begins = np.searchsorted(found.text, np.arange(len(found.measures)))
        outputs: Floats = np.add.reduceat(rows, begins, axis=0) + self.space.shape(found) @ self.shape + self.bias
        return outputs


def gain_of(
    remainder: npt.NDArray[np.float64], bands: npt.NDArray[np.float64], band_gains: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The gain: what the outputs for bands (a row a text) say of it, and the remainder; -1 to 1."""
    gain: npt.NDArray[np.float64] = remainder + probabilities(bands, BAND_SHARPNESS) @ band_gains
    return np.minimum(np.maximum(gain, -1), 1)


def probabilities(outputs: npt.NDArray[np.float64], sharpness: float) -> npt.NDArray[np.float64]:
    """How likely each kind or band (a column) is, of the outputs for them."""
    raised = np.exp(sharpness * outputs)
    likely: npt.NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return likely


def gain_per_cost(
    gain: npt.NDArray[np.float64], output: npt.NDArray[np.float64], texts: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The gain for 100 tokens of the strong model: what to put a threshold on where cost counts."""
    ratio: npt.NDArray[np.float64] = 100 * gain / (tokens(texts) + output)
    return ratio


def tokens(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Tokens of each text, about."""
    return np.array([len(text) / CHARACTERS_PER_TOKEN for text in texts])


@cache
def load_quality_model() -> QualityModel:
    """The model of the data file that is shipped, read once a process; raises `WeightsError`."""
    return quality_model_of(load_weights(__package__, "quality"))


def quality_model_of(arrays: Mapping[str, Any]) -> QualityModel:
    """The model of arrays by name, as `scripts/quality_model` makes them; raises `WeightsError` where they misfit."""
    space = Space(*(arrays[name].astype(np.float32) for name in ("rarity", "mean", "deviation", "waves", "phases")))
    if "band_gains" not in arrays:
        raise WeightsError(_ANOTHER_VERSION)
    words, shape, bias, band_gains = (arrays[name] for name in ("words", "shape", "bias", "band_gains"))
    if len(words) != BUCKETS or len(space.mean) != MEASURES or len(bias) != _HEADS + len(band_gains):
        raise WeightsError(_ANOTHER_VERSION)
    names = tuple(str(name) for name in arrays["nine_names"])
    quality, prices = (arrays[name].astype(np.float64) for name in ("nine_quality", "nine_prices"))
    nine = NineModels(names, quality, prices, float(arrays["nine_exchange"]), int(arrays["nine_best"]))
    familiar_from = float(arrays["familiar_from"])
    words, shape, bias = (each.astype(np.float32) for each in (words, shape, bias))
    return QualityModel(space, words, shape, bias, band_gains, familiar_from, nine)
