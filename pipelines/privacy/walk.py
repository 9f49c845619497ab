"""The texts of a request: which may be changed, and which have to stay as they are because something refers to them."""

from collections.abc import Mapping
from operator import is_
from typing import Any, Protocol

import orjson

from synthralos.domain.jobs import Request

FREE = frozenset({"content", "text", "refusal", "description", "reasoning", "reasoning_content"})
"""Members whose texts are read by the model alone. Names, enums, ids and addresses are not among them, nor are thoughts
that a provider has signed."""

INPUT = "input"
"""The member of a body that holds the texts of an embedding."""

_BINARY = frozenset({"data", "file_data"})


class Visitor(Protocol):
    """Sees each text once, in order. `path` names the part of the request, with no name that a sender made up."""

    def free(self, text: str, path: str) -> str:
        """A text that may be changed: what it is to become."""
        ...

    def fixed(self, text: str, path: str) -> None:
        """A text that cannot be changed."""
        ...


def walk(request: Request, visitor: Visitor) -> Request:
    """Show every text that is sent to the visitor; the request with its changes, which is the same without any."""
    body = {name: _member(value, name, visitor, free=name == INPUT) for name, value in request.body.items()}
    options = {
        provider: _value(found, f"provider_options.{provider}", visitor, every=True, free=True)
        for provider, found in request.provider_options.items()
    }
    if _same(body, request.body) and _same(options, request.provider_options):
        return request
    return Request(request.model, body, options)


def _member(value: Any, path: str, visitor: Visitor, *, free: bool) -> Any:
    """A member of the body; of a list, each item is named. `free`: see `_value`."""
    if type(value) is not list:
        return _value(value, path, visitor, free=free)
    return _kept(value, [_value(item, f"{path}[{n}]", visitor, free=free) for n, item in enumerate(value)])


def _value(value: Any, path: str, visitor: Visitor, *, every: bool = False, free: bool = False) -> Any:
    """`free`: a text here may be changed; `every`: so may each text of all that is within."""
    kind = type(value)
    if kind is str:
        if free:
            return visitor.free(value, path)
        visitor.fixed(value, path)
        return value
    if kind is list:
        return _kept(value, [_value(item, path, visitor, every=every, free=free) for item in value])
    if kind is not dict:
        return value
    changed = {}
    for name, item in value.items():
        visitor.fixed(name, path)
        changed[name] = _named(name, item, path, visitor, every=every)
    return value if _same(changed, value) else changed


def _named(name: str, item: Any, path: str, visitor: Visitor, *, every: bool) -> Any:
    if type(item) is str:
        if name in _BINARY or (name == "url" and item.startswith("data:")):
            return item
        if name == "arguments":
            return _arguments(item, path, visitor)
    return _value(item, path, visitor, every=every, free=every or name in FREE)


def _arguments(text: str, path: str, visitor: Visitor) -> str:
    """What a tool was called with: JSON within a text, in which values are written with escapes."""
    try:
        document = orjson.loads(text)
    except ValueError:
        return visitor.free(text, path)
    changed = _value(document, path, visitor, every=True, free=True)
    return text if changed is document or changed == document else orjson.dumps(changed).decode()


def _kept(before: list[Any], after: list[Any]) -> list[Any]:
    return before if all(map(is_, after, before)) else after


def _same(after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return all(map(is_, after.values(), before.values()))
