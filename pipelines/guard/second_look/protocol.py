"""What a second look is."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class SecondLook(Protocol):
    """Scores prompts again, of which the first look is not sure. Threads share it. Blocks: not for the event loop."""

    @property
    def seconds(self) -> float:
        """How long it may take for a batch."""
        ...

    @property
    def fails_open(self) -> bool:
        """What becomes of a prompt that it had no time for: the first look decides alone, or else the job waits."""
        ...

    @property
    def zone(self) -> tuple[float, float]:
        """From where to where the first look is not sure: log-odds above the threshold that is reached most."""
        ...

    def look(self, texts: Sequence[str], scores: Floats) -> list[Floats | None]:
        """For each text how far its heads are above their thresholds now; None where there was no time.

        `scores` has a row a text with the first look's log-odds: a column for each of `HEADS`
        (`pipelines.guard.abuse`), and one over all. Rows that come back have the same columns, with the threshold at 0.
        """
        ...
