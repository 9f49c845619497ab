"""The pair model: how surely two prompts are the same one, up to typing, wrapping and manners."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipelines.similarity.bits import in_order
from pipelines.similarity.features import SIGNS, features, measured
from pipelines.similarity.reading import Reading, read
from pipelines.similarity.words import RARITY_BITS
from pipelines.weights import WeightsError, load_weights

SAME_FROM = 0.5
"""From this score on, prompts are the same; on unseen sources, one pair of different ones in a hundred reaches it."""

MOST_DEVIATIONS = 5.0
"""A feature counts no more than so many standard deviations from its mean."""

_STEEPNESS = 0.5
_SIGNS = tuple(SIGNS.values())
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PairModel:
    """Immutable, so that threads share it. A regression on the features, no weight of which contradicts its sign.

    `threshold` is the log-odds at which the score is `SAME_FROM`.
    """

    rarity: bytes
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def score(self, first: str, second: str) -> float:
        """From 0 to 1, the same whichever text comes first; 1 where nothing but case, spaces or look-alikes differs.

        Of long texts the beginning and the end are read (`reading.MOST_CHARACTERS`).
        """
        one, other = read(first), read(second)
        told = _told(one, other)
        return self.probability(features(one, other, self.rarity)) if told is None else told

    def same(self, first: str, second: str) -> float | None:
        """Their score where they are the same, else None, which most pairs are far from: it takes half the time."""
        one, other = read(first), read(second)
        told = _told(one, other)
        if told is not None:
            return told if told >= SAME_FROM else None
        values, odds = [0.0] * len(SIGNS), self.bias + sum(map(self._best, range(len(SIGNS))))
        for place, value in measured(one, other, self.rarity):
            values[place] = value
            odds += self._part(place, value) - self._best(place)
            if odds < self.threshold - _ROUNDING:
                return None
        score = self.probability(values)
        return score if score >= SAME_FROM else None

    def probability(self, values: list[float]) -> float:
        """The score of features."""
        odds = self.bias
        for place, value in enumerate(values):
            odds += self._part(place, value)
        return 1 / (1 + math.exp(-_STEEPNESS * (odds - self.threshold)))

    def _part(self, place: int, value: float) -> float:
        """What a feature says, in log-odds."""
        deviations = (value - self.mean[place]) / self.deviation[place]
        return self.weights[place] * max(-MOST_DEVIATIONS, min(MOST_DEVIATIONS, deviations))

    def _best(self, place: int) -> float:
        """The most that a feature can say."""
        sign = _SIGNS[place]
        return self._part(place, max(sign, 0)) if sign else MOST_DEVIATIONS * abs(self.weights[place])


def _told(one: Reading, other: Reading) -> float | None:
    """The score of texts that need no model."""
    if one.text == other.text:
        return 1.0
    if not one.text or not other.text:
        return 0.0
    if not (one.has_words and other.has_words):
        return _without_words(one.text, other.text)
    return None


def _without_words(one: str, other: str) -> float:
    """Punctuation and symbols alone: what stands in both in the same order."""
    return min(0.99, in_order(one, other) / max(len(one), len(other)))


@cache
def load_pair_model() -> PairModel:
    """The model of the data file that is shipped, read once a process; raises `WeightsError`."""
    return pair_model_of(load_weights(__package__, "pair"))


def pair_model_of(arrays: Mapping[str, Any]) -> PairModel:
    """The model of arrays by name, as `scripts/pair_model` makes them."""
    rarity = arrays["rarity"].tobytes()
    mean, deviation, weights = (tuple(arrays[name].tolist()) for name in ("mean", "deviation", "weights"))
    if len(rarity) != 1 << RARITY_BITS or not len(mean) == len(deviation) == len(weights) == len(SIGNS):
        raise WeightsError("the weights of the pair model are those of another version")
    return PairModel(rarity, mean, deviation, weights, float(arrays["bias"]), float(arrays["threshold"]))
