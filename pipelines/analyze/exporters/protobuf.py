"""Protobuf's wire format, as far as OTLP needs it: bytes at once, at a third of what message objects cost.

Source: https://protobuf.dev/programming-guides/encoding/. Tests hold what is made of it against OpenTelemetry's own
definitions.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_INT64 = 2**63
_FIXED = struct.Struct("<Q").pack
_DOUBLE = struct.Struct("<d").pack

VARINT, I64, LENGTH = 0, 1, 2
"""Wire types."""


def tag(field: int, wire_type: int = LENGTH) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_READY = 4_096
_SMALL = [_varint(number) for number in range(_READY)]
"""Those of most lengths, made once."""


def varint(number: int) -> bytes:
    """A number that is not negative."""
    return _SMALL[number] if number < _READY else _varint(number)


def signed(number: int) -> bytes:
    """An `int64`."""
    return varint(number if number >= 0 else number + 2**64)


def within(start: bytes, message: bytes) -> bytes:
    """A message, or bytes, as a field of another one that begins with the tag `start`."""
    return start + varint(len(message)) + message


def text(value: str) -> bytes:
    """UTF-8, which has no lone surrogates."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="replace")


fixed64 = _FIXED
"""A `fixed64`."""

double = _DOUBLE
"""A `double`."""

_KEY, _VALUE = tag(1), tag(2)
_STRING, _BOOL, _INT, _FLOAT, _ARRAY = tag(1), tag(2, VARINT), tag(3, VARINT), tag(4, I64), tag(5)
_ELEMENT = tag(1)


def attributes(start: bytes, values: Mapping[str, Any]) -> bytes:
    """OpenTelemetry's `KeyValue`s, each a field that begins with the tag `start`; those that are None are not there.

    Texts, which most of them are, are written out here: a trace has a hundred.
    """
    parts: list[bytes] = []
    for name, value in values.items():
        if value is None:
            continue
        key = _key(name)
        if type(value) is str:
            said = text(value)
            size = len(said)
            if size < _READY:
                string = _SMALL[size]
                inner = 1 + len(string) + size
                length = varint(inner)
                parts += (start, varint(len(key) + 1 + len(length) + inner), key, _VALUE, length, _STRING, string, said)
                continue
        parts.append(within(start, key + within(_VALUE, any_value(value))))
    return b"".join(parts)


@lru_cache(maxsize=4_096)
def _key(name: str) -> bytes:
    """The key's field. Few names come again and again; those that tenants make up are forgotten."""
    return within(_KEY, text(name))


def any_value(value: Any) -> bytes:
    """OpenTelemetry's `AnyValue`."""
    if isinstance(value, str):
        return within(_STRING, text(value))
    if isinstance(value, bool):
        return _BOOL + _SMALL[value]
    if isinstance(value, int):
        return _INT + signed(value) if -_INT64 <= value < _INT64 else within(_STRING, text(str(value)))
    if isinstance(value, float):
        return _FLOAT + _DOUBLE(value)
    if isinstance(value, list):
        return within(_ARRAY, _joined(within(_ELEMENT, any_value(each)) for each in value))
    return within(_STRING, text(str(value)))


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)
