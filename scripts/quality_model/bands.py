"""Bands of tasks: those on which a strong model gains about as much over a weak one are one band.

Few bands are told apart more surely than many tasks, and a task with few rows borrows the mean of those like it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

BANDS = 10
_SMOOTHING = 50.0
"""How many rows with the mean of all gains each task and each band gets on top of its own."""


class Bands(NamedTuple):
    """`tasks`, sorted, with the band of each; `gains` has the mean gain of each band (-1 to 1)."""

    tasks: Texts
    band: Places
    gains: Floats

    def columns(self, tasks: Texts) -> Floats:
        """A column a band, 1 where the row is of it; a row of an unknown task is of none."""
        place = np.minimum(np.searchsorted(self.tasks, tasks), len(self.tasks) - 1)
        columns = np.eye(len(self.gains))[self.band[place]]
        columns[self.tasks[place] != tasks] = 0
        return columns


def bands_of(tasks: Texts, gain: Floats) -> Bands:
    """The bands of rows with these tasks and gains: the two that differ least are joined until few are left (Ward)."""
    names, of_row = np.unique(tasks, return_inverse=True)
    rows = np.bincount(of_row).astype(np.float64)
    means = _smoothed(np.bincount(of_row, gain), rows, gain.mean())
    band = np.arange(len(names))
    while len(rows) > BANDS:
        kept, joined = _nearest(rows, means)
        means[kept] = np.average(means[[kept, joined]], weights=rows[[kept, joined]])
        rows[kept] += rows[joined]
        band[band == joined] = kept
        band[band > joined] -= 1
        rows, means = np.delete(rows, joined), np.delete(means, joined)
    of_band = band[of_row]
    return Bands(names, band, _smoothed(np.bincount(of_band, gain), rows, gain.mean()))


def _smoothed(sums: Floats, rows: Floats, mean: float) -> Floats:
    smoothed: Floats = (sums + _SMOOTHING * mean) / (rows + _SMOOTHING)
    return smoothed


def _nearest(rows: Floats, means: Floats) -> tuple[int, int]:
    """The two, the lower place first, whose joining adds least to the squares within bands."""
    added = np.outer(rows, rows) / np.add.outer(rows, rows) * np.subtract.outer(means, means) ** 2
    added[np.tril_indices(len(rows))] = np.inf
    kept, joined = np.unravel_index(int(added.argmin()), added.shape)
    return int(kept), int(joined)
