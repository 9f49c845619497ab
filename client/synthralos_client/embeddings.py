"""Embedding jobs: what they may hold, and the body that asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from synthralos_client.models import Json
from synthralos_client.request_fields import Constraints


class EmbeddingOptions(TypedDict, total=False):
    """Everything that an embedding job may hold besides its model and its input.

    `dimensions`: numbers of a vector, where the model can choose. `encoding_format`: `float`, or `base64` of
    little-endian 32-bit floats.
    """

    dimensions: int
    encoding_format: Literal["float", "base64"]
    constraints: Constraints
    deadline: datetime | str
    deadline_seconds: float
    lane: Literal["interactive", "bulk"]
    metadata: dict[str, str | float | bool]
    run_id: str
    workspace: str
    user: str
    organization: str
    provider_options: dict[str, Json]


def embedding_of(texts: str | Sequence[str], model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of one embedding job."""
    return {"kind": "embedding", "model": model, "input": texts if isinstance(texts, str) else list(texts), **options}
