"""Answers in JSON. They are written by orjson; the models in `views` only describe them."""

from collections.abc import Iterable
from typing import Any

import orjson
from starlette.responses import Response

_JSON = (b"content-type", b"application/json")


class JsonAnswer(Response):
    """A JSON response from its bytes. Its headers are written as they go out, so that nobody looks through them."""

    def __init__(self, body: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body)), _JSON]


def answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(document), status, headers, "application/json")
