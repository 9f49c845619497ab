"""Windows of the texts of a batch: two blocks each, one block on from the window before."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Laid, Places

BLOCK = 100
"""Characters of half a window."""

Floats = npt.NDArray[np.float64]


class Windows(NamedTuple):
    """A window is called by its first block, blocks by their numbers in the batch.

    `owner` is the text of each block and `edges` where it begins; text `i` has the blocks from `first[i]` to `last[i]`.
    Its last block begins no window, unless it is the only one.
    """

    owner: Places
    edges: Places
    first: Places
    last: Places

    def best(self, summed: npt.NDArray[np.float32], count: npt.NDArray[np.float32]) -> Floats:
        """For each text the most that a window has of `summed` over the root of its `count`; both have every place."""
        values, sizes = np.add.reduceat(summed, self.edges), np.add.reduceat(count, self.edges)
        both = self.owner[1:] == self.owner[:-1]
        values[:-1] += np.where(both, values[1:], 0)
        sizes[:-1] += np.where(both, sizes[1:], 0)
        scores = values / np.sqrt(np.maximum(sizes, 1))
        scores[self.last[self.last > self.first]] = -np.inf
        best: Floats = np.maximum.reduceat(scores, self.first).astype(np.float64)
        return best

    def of(self, places: Places) -> tuple[Places, Places]:
        """The windows of each place: the two that it is in, or the same one twice."""
        block = np.searchsorted(self.edges, places, "right") - 1
        text = self.owner[block]
        later = np.where((block == self.last[text]) & (block > self.first[text]), block - 1, block)
        return later, np.maximum(block - 1, self.first[text])


def windows(laid: Laid) -> Windows:
    """The windows of texts."""
    blocks = -(-(laid.end - laid.begin) // BLOCK)
    after = np.cumsum(blocks)
    first = after - blocks
    owner = np.repeat(np.arange(len(blocks)), blocks)
    edges = laid.begin[owner] + (np.arange(after[-1]) - first[owner]) * BLOCK
    return Windows(owner, edges, first, after - 1)
