"""Training: a regression on few features, bound to the signs that they must have. Needs scipy."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.similarity.features import SIGNS, features
from pipelines.similarity.pairs import MOST_DEVIATIONS
from pipelines.similarity.reading import read
from pipelines.similarity.words import RARITY_BITS, STEP, place
from scripts.pair_model.texts import Pair

SHARE = 0.01
"""Pairs of different prompts, of unseen sources, that may be called the same."""

Floats = npt.NDArray[np.float64]
_PENALTY = 50.0
_LEAST_SEEN = 4


def rarities(texts: Iterable[str]) -> npt.NDArray[np.uint8]:
    """How rare words are, by their hashes; a word that is hardly seen counts as seen in three texts."""
    counts: Counter[str] = Counter()
    number = 0
    for text in texts:
        counts.update(set(read(text).words))
        number += 1
    found = np.full(1 << RARITY_BITS, round(math.log(number / 3) * STEP), np.uint8)
    for word, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        if count >= _LEAST_SEEN:
            found[place(word)] = round(math.log(number / count) * STEP)
    return found


def features_of(pairs: Sequence[Pair], rarity: bytes) -> Floats:
    """A row a pair."""
    return np.array([features(read(pair.one), read(pair.other), rarity) for pair in pairs])


def fit(rows: Floats, labels: npt.NDArray[Any]) -> dict[str, Any]:
    """The arrays of a model; both labels weigh the same together."""
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - training alone needs it

    signs = np.array([sign or 1 for sign in SIGNS.values()])
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    scaled = np.clip((rows - mean) / deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS) * signs
    side = 2.0 * labels - 1
    each = np.where(labels == 1, 1 / (labels == 1).sum(), 1 / (labels == 0).sum()) * len(labels) / 2

    def loss(values: Floats) -> tuple[float, Floats]:
        margin = (scaled @ values[:-1] + values[-1]) * side
        slope = -each * side / (1 + np.exp(np.clip(margin, -30, 30)))
        total = (each * np.logaddexp(0, -margin)).sum() + _PENALTY * values[:-1] @ values[:-1]
        return float(total), np.concatenate([scaled.T @ slope + 2 * _PENALTY * values[:-1], [slope.sum()]])

    bounds = [(0, None) if sign else (None, None) for sign in SIGNS.values()] + [(None, None)]
    found = fmin_l_bfgs_b(loss, np.full(len(signs) + 1, 0.05), bounds=bounds, maxiter=300)[0]
    weights = found[:-1] * signs
    return {"mean": mean, "deviation": deviation, "weights": weights, "bias": found[-1]}


def odds(arrays: dict[str, Any], rows: Floats) -> Floats:
    """The log-odds of each row."""
    scaled = np.clip((rows - arrays["mean"]) / arrays["deviation"], -MOST_DEVIATIONS, MOST_DEVIATIONS)
    found: Floats = scaled @ arrays["weights"] + arrays["bias"]
    return found


def threshold(scores: Floats, sources: Sequence[str]) -> float:
    """What pairs of different prompts reach as seldom as is allowed; a source counts as its square root."""
    counts = Counter(sources)
    weights = np.array([counts[source] ** -0.5 for source in sources])
    order = np.argsort(scores)
    summed = np.cumsum(weights[order]) / weights.sum()
    return float(scores[order][np.searchsorted(summed, 1 - SHARE)])
