"""Answers in JSON. They are written by orjson; the models in `views` only describe them."""

from typing import Any

import orjson
from starlette.responses import Response


def answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(document), status, headers, "application/json")
