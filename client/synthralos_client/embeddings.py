"""Embedding jobs: what they may hold, and the body that asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from synthralos_client.request_fields import CommonOptions


class EmbeddingOptions(CommonOptions, total=False):
    """Everything that an embedding job may hold besides its model and its input.

    `dimensions`: numbers of a vector, where the model can choose. `encoding_format`: `float`, or `base64` of
    little-endian 32-bit floats.
    """

    dimensions: int
    encoding_format: Literal["float", "base64"]


def embedding_of(texts: str | Sequence[str], model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of one embedding job."""
    return {"kind": "embedding", "model": model, "input": texts if isinstance(texts, str) else list(texts), **options}
