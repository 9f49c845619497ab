"""Sums of several weights of each n-gram: three weights share a number, and are looked up and summed at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Places

Floats = npt.NDArray[np.float64]

_BITS, _TOGETHER = 21, 3
"""Of a 64-bit number each weight has so many bits, and so many weights share it."""

_ZERO = 128
"""What stands for 0, so that no weight is negative."""

_MOST = (1 << _BITS) // (2 * _ZERO)
"""So many weights can be summed before one runs into its neighbor."""


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """Weights of -128 to 127 by bucket and column, and what one is worth in each column. Immutable."""

    packed: tuple[npt.NDArray[np.int64], ...]
    scale: Floats

    @classmethod
    def of(cls, weights: npt.NDArray[np.int8], scale: npt.NDArray[np.float32]) -> "LinearWeights":
        """`weights` has a row a bucket and a column for each of `scale`."""
        raised = weights.astype(np.int64) + _ZERO
        columns = range(0, weights.shape[1], _TOGETHER)
        shifts = np.arange(_TOGETHER) * _BITS
        packed = [(part << shifts[: part.shape[1]]).sum(1) for part in (raised[:, c : c + _TOGETHER] for c in columns)]
        return cls(tuple(packed), scale.astype(np.float64))

    def scores(self, texts: Sequence[Places]) -> Floats:
        """For each text, whose buckets are given, the sum of its weights over the root of their number, by column."""
        parts = [each[begin : begin + _MOST] for each in texts for begin in range(0, len(each) or 1, _MOST)]
        edges = np.cumsum([0, *map(len, parts)])
        summed = np.column_stack([self._unpacked(packed, np.concatenate(parts), edges) for packed in self.packed])
        sizes = np.array([len(each) for each in texts])
        pieces = np.maximum(-(-sizes // _MOST), 1)
        whole = np.add.reduceat(summed[:, : len(self.scale)], np.cumsum(pieces) - pieces)
        scaled: Floats = (whole - _ZERO * sizes[:, None]) * self.scale / np.sqrt(np.maximum(sizes, 1))[:, None]
        return scaled

    @staticmethod
    def _unpacked(packed: npt.NDArray[np.int64], buckets: Places, edges: Places) -> npt.NDArray[np.int64]:
        """A row for each stretch of the buckets, and a column for each weight of a number."""
        running = np.zeros(len(buckets) + 1, np.int64)
        np.cumsum(packed.take(buckets), out=running[1:])  # what it leaves out above 64 bits, differences leave out too
        sums = running[edges[1:]] - running[edges[:-1]]
        return np.column_stack([(sums >> _BITS * place) & ((1 << _BITS) - 1) for place in range(_TOGETHER)])
