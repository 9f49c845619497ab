"""Ridge regression on words and waves, solved by the likeness of texts instead of by the many features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.route.quality.features import BUCKETS, Features, read_features
from pipelines.route.quality.model import MOST_DEVIATIONS, Space

Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

WAVES = 768
_FREQUENT = 60
"""From this many texts on, a bucket is multiplied as a column; the others are added pair by pair."""
_SAMPLE = 600


class Mix(NamedTuple):
    """What words and waves count, and how strongly weights are shrunk."""

    words: float
    waves: float
    shrink: float


GAIN = Mix(1.0, 0.2, 10.0)
KIND = Mix(1.0, 0.5, 0.3)


class Seen(NamedTuple):
    """Texts in a space: `likeness` of each two, by words and by shape."""

    found: Features
    words: Floats32
    shape: Floats32
    by_words: Floats32

    def likeness(self, mix: Mix) -> Floats32:
        """One number for each two texts."""
        return np.float32(mix.words) * self.by_words + np.float32(mix.waves) * (self.shape @ self.shape.T)


def space_of(texts: Sequence[str]) -> Space:
    """The space of training texts; labels have no part in it."""
    found, rng = read_features(texts), np.random.default_rng(7)
    rarity = np.log((1 + len(texts)) / (1 + np.bincount(found.bucket, minlength=BUCKETS))) + 1
    mean, deviation = found.measures.mean(0), found.measures.std(0) + np.float32(1e-6)
    z = np.clip((found.measures - mean) / deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS)
    z = z[rng.permutation(len(z))[:_SAMPLE]].astype(np.float64)
    apart = (z * z).sum(1)[:, None] + (z * z).sum(1)[None] - 2 * z @ z.T
    waves = rng.normal(size=(z.shape[1], WAVES)) * np.sqrt(2 / np.median(apart))
    phases = rng.random(WAVES) * 2 * np.pi
    return Space(*(_half(each) for each in (rarity, mean, deviation, waves, phases)))


def _half(values: npt.NDArray[np.generic]) -> Floats32:
    """As they will be read from the file."""
    return values.astype(np.float16).astype(np.float32)


def see(texts: Sequence[str], space: Space) -> Seen:
    """The texts in the space."""
    found = read_features(texts)
    words = space.words(found)
    return Seen(found, words, space.shape(found), _by_words(found, words))


def _by_words(found: Features, words: Floats32) -> Floats32:
    """The products of the texts' words, which are few in each: what is rare is cheap, what is frequent is dense."""
    size = len(found.measures)
    order = np.argsort(found.bucket, kind="stable")
    text, weight = found.text[order], words[order]
    edges = np.append(np.flatnonzero(np.diff(found.bucket[order], prepend=-1)), len(order))
    frequent = [n for n in range(len(edges) - 1) if edges[n + 1] - edges[n] >= _FREQUENT]
    dense = np.zeros((size, len(frequent)), np.float32)
    for column, n in enumerate(frequent):
        dense[text[edges[n] : edges[n + 1]], column] = weight[edges[n] : edges[n + 1]]
    products = dense @ dense.T
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if end - begin < _FREQUENT:
            rows = text[begin:end]
            products[np.ix_(rows, rows)] += np.outer(weight[begin:end], weight[begin:end])
    return products


def system(seen: Seen, mix: Mix, weight: Floats) -> Floats32:
    """What the rows are solved by; `weight` is how much each row counts."""
    likeness = seen.likeness(mix)
    likeness[np.diag_indices(len(weight))] += (mix.shrink * weight.mean() / weight).astype(np.float32)
    return likeness


def inverse(seen: Seen, mix: Mix, weight: Floats) -> Floats32:
    """The inverse of the system of all rows, from which any of them can be left out: see `predict`."""
    return np.asarray(np.linalg.inv(system(seen, mix, weight)), np.float32)


def predict(inverted: Floats32, known: Places, asked: Places, wanted: Floats, weight: Floats) -> Floats:
    """What the rows `asked` get from those `known` alone, for each column of `wanted`.

    As if the system of the known rows had been solved: the inverse of all rows says what rows left out would have got,
    by a system of as many rows as are left out.
    """
    left_out = np.setdiff1d(np.arange(len(wanted)), known)
    mean = np.average(wanted[known], axis=0, weights=weight[known])
    apart = wanted - mean
    apart[left_out] = 0
    missed = np.linalg.solve(inverted[np.ix_(left_out, left_out)], inverted[left_out] @ apart.astype(np.float32))
    found: Floats = mean - missed[np.searchsorted(left_out, asked)].astype(np.float64)
    return found


def outside(inverted: Floats32, rows: Places, fold: Places, wanted: Floats, weight: Floats) -> Floats:
    """What each of `rows` gets from the rows of the other folds."""
    found = np.zeros((len(rows), wanted.shape[1]))
    for number in np.unique(fold):
        found[fold == number] = predict(inverted, rows[fold != number], rows[fold == number], wanted, weight)
    return found


def weights(seen: Seen, mix: Mix, wanted: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """(of each bucket, of each wave, bias), from all rows."""
    mean = np.average(wanted, axis=0, weights=weight)
    adds = np.linalg.solve(system(seen, mix, weight), (wanted - mean).astype(np.float32)).astype(np.float64)
    of_words = np.column_stack(
        [np.bincount(seen.found.bucket, seen.words * column[seen.found.text], BUCKETS) for column in adds.T]
    )
    return mix.words * of_words, mix.waves * (seen.shape.T @ adds), mean
