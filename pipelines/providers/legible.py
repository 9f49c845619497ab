"""JSON that was paid for: any reading of it that makes sense is kept.

What is read here can be written again: it holds no half of a surrogate pair, no number beyond 64 bits, and nothing
that is nested deeper than `MOST_DEPTH`.
"""

import json
import math
import re
from typing import Any

import orjson

MOST_DEPTH = 64
"""Levels that are kept as they are; what lies deeper is kept as its JSON text."""

UNREADABLE = object()
"""What `read` returns where there is no JSON."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_UNKNOWN_CHARACTER = "\ufffd"
_BIGGEST = 2**63


def read(body: bytes, charset: str | None = None) -> Any:
    """The JSON of a body, or `UNREADABLE`: strictly where that goes, else with what is wrong replaced or left out.

    `charset` is what the answer's `Content-Type` says: it counts where the body is not UTF-8.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        text = _text(body, charset).lstrip()
    try:
        return _LENIENT.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return UNREADABLE


def find_usage(body: bytes, name: str = "usage") -> Any:
    """The last member `name` in a body that is not JSON as a whole; None where there is none."""
    text = body.decode("utf-8", "replace")
    for place in reversed(list(re.finditer(rf'"{name}"\s*:\s*(?=\{{)', text))):
        try:
            return _LENIENT.raw_decode(text, place.end())[0]
        except (ValueError, RecursionError):
            continue
    return None


def writable(value: Any, depth: int = MOST_DEPTH) -> Any:
    """`value` with nothing in it that cannot be written as JSON again."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _SURROGATE.sub(_UNKNOWN_CHARACTER, value)
    if kind is dict:
        return {writable(k): writable(v, depth - 1) for k, v in value.items()} if depth else as_text(value)
    if kind is list:
        return [writable(item, depth - 1) for item in value] if depth else as_text(value)
    if kind is int:
        return value if -_BIGGEST <= value < _BIGGEST else str(value)
    if kind is float and not math.isfinite(value):
        return None
    return value


def _text(body: bytes, charset: str | None) -> str:
    marked = next((encoding for mark, encoding in _MARKS if body.startswith(mark)), None)
    for encoding in (marked, "utf-8", charset):
        try:
            return body.decode(encoding or "utf-8")
        except (UnicodeError, LookupError):
            continue
    return body.decode("utf-8", "replace")


def as_text(value: Any) -> str:
    """`value` as JSON text, however deeply it is nested."""
    parts: list[str] = []
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if type(item) is _Written:
            parts.append(item)
        elif isinstance(item, dict | list):
            todo += reversed(_spelled_out(item))
        else:
            parts.append(json.dumps(item))
    return "".join(parts)


class _Written(str):
    """JSON that is text already."""

    __slots__ = ()


def _spelled_out(container: dict[str, Any] | list[Any]) -> list[Any]:
    """The members with everything between them."""
    if isinstance(container, list):
        pieces = [piece for member in container for piece in (_Written(", "), member)]
        return [_Written("["), *pieces[1:], _Written("]")]
    pieces = [p for k, v in container.items() for p in (_Written(", "), _Written(f"{json.dumps(k)}: "), v)]
    return [_Written("{"), *pieces[1:], _Written("}")]


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 40 else digits


_LENIENT = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=lambda _: None)
