"""The vectors of the sandbox: made of a text's words alone, so that texts which share words are near each other."""

import hashlib
import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipelines.providers.vectors import Vectors, vectors_of
from synthralos.domain.jobs import Request

DIMENSIONS = 256
"""Numbers of a vector where the request does not say."""

_MOST_WORDS = 1_000
_WORD = re.compile(r"\w+")


def vectors(request: Request) -> Vectors:
    """One vector of length 1 for each input, the same for the same text wherever it is made."""
    wanted = request.body.get("dimensions")
    return vectors_of([_vector(text, wanted or DIMENSIONS) for text in request.inputs], request)


def _vector(text: str, dimensions: int) -> list[float]:
    words = [match[0].lower() for match, _ in zip(_WORD.finditer(text), range(_MOST_WORDS), strict=False)] or [text]
    summed = np.sum([_of_word(word, dimensions) for word in words], axis=0)
    length = float(np.sqrt((summed * summed).sum())) or 1.0
    numbers: list[float] = (summed / length).astype(np.float32).tolist()
    return numbers


@lru_cache(maxsize=1_024)
def _of_word(word: str, dimensions: int) -> npt.NDArray[np.float64]:
    data = hashlib.shake_256(word.encode("utf-8", "replace")).digest(2 * dimensions)
    return np.frombuffer(data, "<i2").astype(np.float64)
