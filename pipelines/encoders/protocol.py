"""What a sentence encoder is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]


class EncoderError(Exception):
    """No encoder can be had: a package or a model is missing, or is not what it should be. One line."""


def unusable(folder: Path, error: Exception) -> EncoderError:
    """What is told of a model that a library fails on."""
    return EncoderError(f"the model in {folder} cannot be used: {str(error).strip().partition(chr(10))[0]}")


class Encoder(Protocol):
    """Turns texts into vectors of length 1 (0 where nothing was read); the product of two says how alike texts are.

    Threads share it. It works for one of them at a time, on one core, so that it never takes more of a worker.
    """

    @property
    def name(self) -> str:
        """What the model calls itself."""
        ...

    @property
    def dimensions(self) -> int:
        """The numbers of a vector."""
        ...

    def encode(self, texts: Sequence[str], seconds: float) -> list[Vector | None]:
        """One vector a text, in order; None for those for which there was no time.

        Of each text the first few hundred tokens are read. It ends after `seconds`, and at most one small run of the
        model later. Blocks: not for the event loop.
        """
        ...
