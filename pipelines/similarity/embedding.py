"""The built-in embedding: hashed n-grams of characters and words, without a network and without a model to load.

All texts of a batch lie in one array of code points, so that a batch costs a few passes of numpy.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.similarity.plain import plain
from pipelines.similarity.reading import excerpt

READ = 6_000
"""Characters of a text that are embedded: two thirds from its beginning, one from its end."""

Floats = npt.NDArray[np.float32]
_Codes = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.int64]

_DIMENSIONS = 256
_BITS = 14
_BUCKETS = 1 << _BITS
_LENGTH = 4
_BATCH = 64
_LONGEST_WORD = 64
_SPACE = 32
_U = np.uint32


class Embedder(Protocol):
    """Turns texts into vectors; the product of two says how similar the texts are."""

    @property
    def name(self) -> str:
        """Vectors are compared with those of the same name alone."""

    @property
    def dimensions(self) -> int:
        """The numbers of a vector."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """A row of length 1 for each text; zeros where there is nothing in it."""


class NgramEmbedder:
    """Signed hashing (Weinberger et al., 2009); an n-gram counts by the square root of how often it occurs.

    Immutable, so that threads share it. The same text has the same vector on every machine.
    """

    name = "ngrams-1"
    dimensions = _DIMENSIONS

    def __init__(self) -> None:
        self._weights = _signed_weights().reshape(-1, _DIMENSIONS)

    def embed(self, texts: Sequence[str]) -> Floats:
        """A row of length 1 for each text; zeros where there is nothing in it."""
        rows = [self._embed_batch(texts[begin : begin + _BATCH]) for begin in range(0, len(texts), _BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, _DIMENSIONS), np.float32)

    def _embed_batch(self, texts: Sequence[str]) -> Floats:
        counts = _roots(texts).reshape(len(texts), -1, _DIMENSIONS)
        summed = np.einsum("tbd,bd->td", counts, self._weights)
        lengths = np.sqrt((summed * summed).sum(axis=1, keepdims=True))
        unit: Floats = (summed / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return unit


def _signed_weights() -> Floats:
    """About 1 or -1 for every bucket. About, so that no two n-grams cancel out each other altogether."""
    random = _mixed(np.arange(1, _BUCKETS + 1, dtype=_U))
    size = 1 + (random & _U(0xFFFF)) / np.float32(1 << 18)
    weights: Floats = np.where(random >> _U(31), size, -size).astype(np.float32)
    return weights


def _roots(texts: Sequence[str]) -> Floats:
    """The square root of how often the n-grams of each bucket occur: a row a text."""
    plained = [plain(excerpt(text, READ)).replace("\0", " ")[:READ] for text in texts]
    joined = "".join([f" {text} \0" for text in plained])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), _U)
    ends = codes == 0
    row = (np.cumsum(ends, dtype=np.int64) - ends) * _BUCKETS
    found = np.bincount(
        np.concatenate([*_character_grams(codes, ends, row), *_word_grams(codes, ends, row)]),
        minlength=len(texts) * _BUCKETS,
    )
    roots = found.astype(np.float32)
    return np.sqrt(roots, out=roots).reshape(len(texts), _BUCKETS)


def _character_grams(codes: _Codes, ends: npt.NDArray[np.bool_], row: _Places) -> list[_Places]:
    """Four characters in a row: longer and shorter ones beside them found no more, and took twice the time."""
    single = codes * _U(2_654_435_761)
    rolling, broken = single, ends
    for length in range(2, min(_LENGTH, len(codes)) + 1):
        rolling = ((rolling[:-1] * _U(0x01000193)) ^ single[length - 1 :]) + _U(length)
        broken = broken[:-1] | ends[length - 1 :]
    whole = np.flatnonzero(~broken)
    return [row[whole] + _bucket(rolling[whole])]


def _word_grams(codes: _Codes, ends: npt.NDArray[np.bool_], row: _Places) -> list[_Places]:
    """What stands between spaces, and pairs of such words that follow each other."""
    inside = (codes != _SPACE) & ~ends
    starts = inside.copy()
    starts[1:] &= ~inside[:-1]
    first = np.flatnonzero(starts)
    if not len(first):
        return []
    within = np.flatnonzero(inside)
    begins = starts[within]
    place = np.minimum(within - first[np.cumsum(begins) - 1], _LONGEST_WORD - 1)
    words = _mixed(np.add.reduceat(codes[within] * _POWERS[place], np.flatnonzero(begins), dtype=_U))
    pairs = words[:-1] * _U(0x85EBCA6B) + words[1:] * _U(0xC2B2AE35)
    row_of = row[first]
    together = np.flatnonzero(row_of[:-1] == row_of[1:])
    return [row_of + _bucket(words + _U(77)), row_of[together] + _bucket(pairs[together])]


_POWERS = np.array([pow(0x01000193, i, 1 << 32) for i in range(_LONGEST_WORD)], _U)


def _bucket(hashes: _Codes) -> _Places:
    return (_mixed(hashes) >> _U(32 - _BITS)).astype(np.int64)


def _mixed(hashes: _Codes) -> _Codes:
    mixed: _Codes = hashes ^ (hashes >> _U(15))
    mixed = mixed * _U(0x2C1B3C6D)
    mixed ^= mixed >> _U(12)
    mixed *= _U(0x297A2D39)
    mixed ^= mixed >> _U(15)
    return mixed
