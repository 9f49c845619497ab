"""The vectors of an answer: held against what was asked for, and given in the form that was asked for."""

import base64
import binascii
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synthralos.domain.jobs import Request

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FLOAT = "<f4"
"""Little-endian 32-bit floats: the form within Base64. Source: OpenAI API reference, "Create embeddings"."""

MOST_NUMBERS = 16_384
"""Numbers of one vector at most."""

Vectors = list[list[float]] | list[str]


class Misfit(Exception):
    """The vectors are not what was asked for; the message says in which way."""


def vectors_of(found: Sequence[object], request: Request) -> Vectors:
    """The vectors in the form that the request asks for; raises `Misfit`.

    `found` has one for each input: a list of numbers, or Base64 of 32-bit floats.
    """
    if len(found) != len(request.inputs):
        raise Misfit(f"{len(found)} vectors came for {len(request.inputs)} inputs")
    encoded = request.body.get("encoding_format") == "base64"
    rows: list[tuple[Any, int]] = [(_encoded if encoded else _numbers)(vector) for vector in found]
    _check_sizes([size for _, size in rows], request)
    return [row for row, _ in rows]


def _check_sizes(sizes: Sequence[int], request: Request) -> None:
    if len(set(sizes)) > 1:
        raise Misfit("the vectors have different numbers of dimensions")
    wanted = request.body.get("dimensions")
    if wanted is not None and sizes[0] != wanted:
        raise Misfit(f"the vectors have {sizes[0]} dimensions, {wanted} were asked for")


def _numbers(vector: object) -> tuple[list[float], int]:
    """The numbers of a vector, and how many they are."""
    floats: list[float] = _decoded(vector).tolist() if isinstance(vector, str) else _checked(vector)
    return floats, len(floats)


def _encoded(vector: object) -> tuple[str, int]:
    """The Base64 of a vector, and how many numbers are in it."""
    if isinstance(vector, str):
        return vector, len(_decoded(vector))
    import numpy as np  # noqa: PLC0415 - every process knows the providers, and only workers have vectors

    with np.errstate(over="ignore"):
        floats = np.array(_checked(vector), _FLOAT)
    if not np.isfinite(floats).all():
        raise Misfit("a vector holds numbers that 32-bit floats do not")
    return base64.b64encode(floats.tobytes()).decode(), len(floats)


def _checked(vector: object) -> list[float]:
    if not isinstance(vector, list) or not 0 < len(vector) <= MOST_NUMBERS:
        raise Misfit("a vector is no list of numbers, or is empty, or too long")
    if not all(type(number) is float or type(number) is int for number in vector):
        raise Misfit("a vector holds what is no number")
    try:
        finite = all(map(math.isfinite, vector))
    except OverflowError:  # an integer that no float holds
        finite = False
    if not finite:
        raise Misfit("a vector holds numbers that are not finite")
    return vector


def _decoded(text: str) -> "npt.NDArray[np.float32]":
    import numpy as np  # noqa: PLC0415 - see above

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("a vector is no Base64") from None
    if not data or len(data) % 4 or len(data) > 4 * MOST_NUMBERS:
        raise Misfit("a vector is no list of 32-bit floats, or is empty, or too long")
    floats = np.frombuffer(data, _FLOAT)
    if not np.isfinite(floats).all():
        raise Misfit("a vector holds numbers that are not finite")
    return floats
