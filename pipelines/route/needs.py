"""What a job needs of a model: the one table from which the capabilities of a request are computed."""

from collections.abc import Callable, Mapping
from typing import Any

from synthralos.domain.deployments import Capability
from synthralos.domain.jobs import EMBEDDING, Constraints

IMAGE_PARTS = frozenset({"image_url", "image", "input_image"})

_NO_NEEDS: frozenset[Capability] = frozenset()

Body = Mapping[str, Any]


def _format(body: Body) -> str | None:
    wanted: str | None = (body.get("response_format") or {}).get("type")
    return wanted


def _has_image(content: object) -> bool:
    return isinstance(content, list) and any(part.get("type") in IMAGE_PARTS for part in content)


NEEDS: tuple[tuple[Capability, Callable[[Body, Constraints], bool]], ...] = (
    (Capability.TOOLS, lambda body, _: bool(body.get("tools"))),
    (Capability.JSON_MODE, lambda body, _: _format(body) == "json_object"),
    (Capability.JSON_SCHEMA, lambda body, _: _format(body) == "json_schema"),
    (Capability.STREAMING, lambda _, wanted: wanted.stream),
    (Capability.EMBEDDINGS, lambda body, _: body.get("kind") == EMBEDDING),
    (Capability.VISION, lambda body, _: any(_has_image(m.get("content")) for m in body.get("messages", ()))),
)
"""Each capability with what asks for it, of a request's body and the job's constraints. A new kind is a line."""


def needs_of(body: Body, wanted: Constraints) -> frozenset[Capability]:
    """The capabilities that a job asks for."""
    needs = [capability for capability, asks in NEEDS if asks(body, wanted)]
    return frozenset(needs) if needs else _NO_NEEDS
