"""Boosted trees as arrays: all trees and all rows go down a level at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DEPTH = 5
"""No tree is deeper. A leaf leads to itself."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Nodes of all trees: which feature each asks, up to where it goes left, where to, and what a leaf is worth."""

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float32]
    roots: npt.NDArray[np.int32]

    def score(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum of the leaves that each row comes to; `rows` has a row of features for each."""
        at = np.repeat(self.roots[None, :], len(rows), 0)
        first = np.arange(0, rows.size, rows.shape[1])[:, None]
        for _ in range(DEPTH):
            goes_left = rows.take(self.feature.take(at) + first) <= self.threshold.take(at)
            at = np.where(goes_left, self.left.take(at), self.right.take(at))
        summed: npt.NDArray[np.float64] = self.value.take(at).sum(axis=1, dtype=np.float64)
        return summed
