"""What is sent about dead letters, and how their files are read and written. See `sending.py` for how it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Call, Operation, encode, parameter, sending

LETTERS = "/api/v1/dead-letters"

_MOST_LINES, _MOST_BYTES = 500, 4_000_000
"""Of one request of an import; a single line may be longer."""

_SILENCE = 60.0
"""Seconds that an export may be silent for while the server looks for what fits."""


def export(filters: Mapping[str, Any]) -> Call:
    """The request of an export."""
    params = tuple((name, parameter(value)) for name, value in filters.items() if value is not None)
    return Call("GET", f"{LETTERS}/export", params=params, waits=_SILENCE)


def importing(config: Config, part: bytes) -> Operation[Json]:
    """Import some lines: repeated, it does nothing twice."""
    report: Json = (yield from sending(Call("POST", f"{LETTERS}/import", body=part, waits=_SILENCE), config)).json()
    return report


def parts(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The lines as bodies of requests, in order."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        encoded = encode(line)
        if part and (len(part) == _MOST_LINES or size + len(encoded) > _MOST_BYTES):
            yield b"\n".join(part)
            part, size = [], 0
        part.append(encoded)
        size += len(encoded)
    if part:
        yield b"\n".join(part)


class Lines:
    """Reads one JSON object a line, as bytes come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Json]:
        """Take bytes; the lines that they complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        yield from map(json.loads, lines)
