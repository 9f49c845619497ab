"""Reading request bodies: bounded in size and depth, JSON alone, and free of what a database cannot hold.

orjson parses and refuses on its own: invalid UTF-8, NaN and Infinity, what is nested past its limit. What it
lets through (NUL, integers that it turned into floats) or refuses without a field (lone surrogates) is looked
at again here, by the standard library's slower parser and only when there is a reason to.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.http.bodies_in_flight import SMALL_BODY, BodiesInFlight, BodyPlace, too_late
from api.http.problems import Problem, invalid, invalid_field, not_json, too_large
from pipelines.intake.errors import FieldError, join

MOST_MEMBERS = 5_000
"""Members that one JSON object may have: nothing that makes sense has more, and each costs memory in an error."""

_BIGGEST = 2**63
_NAMED = re.compile(rb'"\s*:')
_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_TYPE = re.compile(r"application/([a-z0-9.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class Incoming(Protocol):
    """A request, as far as its body is concerned."""

    receive: Receive

    def header(self, name: bytes) -> str | None:
        """A header's value; `name` is in lower case."""
        ...


async def read_body(call: Incoming, limit: int, bodies: BodiesInFlight, place: BodyPlace) -> bytes:
    """The body's bytes; they count in `bodies` until the place is left.

    Raises a 413 as soon as more than `limit` bytes are announced or have come, a 408 for what does not end, and a
    503 where other bodies leave no room.
    """
    announced = call.header(b"content-length")
    if announced is not None and announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise too_large(limit)
    with bodies.reading(place):
        return await _whole_body(call, limit, bodies, place)


async def _whole_body(call: Incoming, limit: int, bodies: BodiesInFlight, place: BodyPlace) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if place.evicted:
            raise too_late(place)
        if size > SMALL_BODY:
            bodies.grow(place, size)
    bodies.whole(place)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def require_json(call: Incoming) -> None:
    """Raise a 415 for a body that is declared to be something else than JSON, or to be compressed."""
    encoding = call.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        detail = "Send the body as it is, without Content-Encoding."
        raise Problem(415, "unsupported-encoding", "The body must not be compressed", detail)
    declared = call.header(b"content-type")
    if declared is None or declared == "application/json":
        return
    if not _JSON_TYPE.fullmatch(declared.strip()):
        detail = "Send JSON, with Content-Type: application/json."
        raise Problem(415, "unsupported-media-type", "The body must be JSON", detail)


def parse_json(raw: bytes, max_depth: int, root: str = "body") -> Any:
    """The parsed body; raises 400 (with the position) or 422 (with the field, a path that starts with `root`)."""
    raw = without_mark(raw)
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explain(raw, error, root) from None
    suspicious, members = _check_shape(document, max_depth, root)
    _refuse_what_is_given_twice(raw, members, root)
    if b"\\u0000" in raw:
        _refuse(document, root, _nul)
    if suspicious:
        # As floats they have lost digits; only the exact integers tell what was sent.
        _refuse(json.loads(raw, parse_int=_integer), root, _too_big)
    return document


def without_mark(raw: bytes) -> bytes:
    """The body without the mark (BOM) that some editors put before UTF-8."""
    return raw.removeprefix(codecs.BOM_UTF8)


def _refuse_what_is_given_twice(raw: bytes, members: int, root: str) -> None:
    """Raise for a member that an object has twice: which of them counts would be anybody's guess.

    A member has one colon behind its name. So where there are as many as members, none is given twice, and only
    texts that hold colons behind quotes are worth a second parser.
    """
    if raw.count(b":") == members or sum(1 for _ in _NAMED.finditer(raw)) == members:
        return
    twice: list[tuple[dict[str, Any], str]] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice.append((found, next(name for name, count in counts.items() if count > 1)))
        return found

    document = json.loads(raw, object_pairs_hook=collect, parse_int=_integer)
    if twice:
        container, name = twice[0]
        raise invalid_field(join(_path_to(container, document, root), name), "is given twice", "send it once")


def _path_to(container: Any, document: Any, root: str) -> str:
    stack = [(document, root)]
    while stack:
        value, path = stack.pop()
        if value is container:
            return path
        stack.extend((child, join(path, key)) for key, child in _children(value))
    return root


def _explain(raw: bytes, error: orjson.JSONDecodeError, root: str) -> Problem:
    if error.msg.startswith("array and object recursion"):
        return invalid_field(root or "body", "is nested too deeply", "flatten it")
    try:
        lenient = json.loads(raw, parse_int=_integer)
    except (ValueError, RecursionError):
        where = f"line {error.lineno}, column {error.colno}"
        return not_json(f"It stops being JSON in UTF-8 at {where}: {_why(error)}.")
    for check in (_lone_surrogate, _not_finite, _too_big):
        found = next(_find(lenient, root, check), None)
        if found is not None:
            return invalid([found])
    return not_json(f"{_why(error)} at line {error.lineno}, column {error.colno}.")


def _why(error: orjson.JSONDecodeError) -> str:
    return error.msg.partition(": line")[0]


def _check_shape(document: Any, max_depth: int, root: str) -> tuple[bool, int]:
    """Raise for what is too deep or too wide.

    Returns whether a float may have been an integer beyond 64 bits, and how many members all objects have.
    """
    suspicious = False
    members = 0
    level = [document] if type(document) in (dict, list) else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            problem = f"is nested more than {max_depth} levels deep"
            raise invalid_field(_deepest(document, max_depth, root), problem, "flatten it")
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                if len(container) > MOST_MEMBERS:
                    raise invalid_field(
                        root or "body", f"has an object of more than {MOST_MEMBERS} members", "send fewer"
                    )
                members += len(container)
                values: Any = container.values()
            else:
                values = container
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is float and not -_BIGGEST < value < _BIGGEST:
                    suspicious = True
        level = below
    return suspicious, members


def _deepest(document: Any, max_depth: int, root: str) -> str:
    """The path of the first container that lies `max_depth` levels down, cut where it gets long."""
    stack = [(document, root, 0)]
    while stack:
        value, path, depth = stack.pop()
        if depth == max_depth:
            return path if len(path) <= 200 else path[:200] + "…"
        stack.extend((v, join(path, k), depth + 1) for k, v in _children(value) if type(v) in (dict, list))
    return root or "body"


def _children(value: Any) -> list[tuple[str | int, Any]]:
    if type(value) is dict:
        return list(value.items())
    return list(enumerate(value)) if type(value) is list else []


def _refuse(document: Any, root: str, check: Any) -> None:
    found = next(_find(document, root, check), None)
    if found is not None:
        raise invalid([found])


def _find(document: Any, root: str, check: Any) -> Iterator[FieldError]:
    """The errors that `check` sees in any scalar or any name of a member, in no particular order."""
    stack: list[tuple[Any, str]] = [(document, root)]
    while stack:
        value, path = stack.pop()
        if type(value) is dict:
            for name in value:
                if complaint := check(name):
                    yield FieldError(join(path, name), f"its name {complaint[0]}", complaint[1])
        children = _children(value)
        if children:
            stack.extend((child, join(path, key)) for key, child in children)
        elif complaint := check(value):
            yield FieldError(path or "body", *complaint)


def _nul(value: Any) -> tuple[str, str] | None:
    found = isinstance(value, str) and "\0" in value
    return ("has a NUL character", "remove it: no text needs one, and it cannot be stored") if found else None


def _lone_surrogate(value: Any) -> tuple[str, str] | None:
    found = isinstance(value, str) and _SURROGATE.search(value)
    return ("has half of a surrogate pair", "send whole characters") if found else None


def _not_finite(value: Any) -> tuple[str, str] | None:
    found = isinstance(value, float) and not abs(value) < float("inf")
    return ("is not a finite number", "JSON knows no NaN and no Infinity: send a number or null") if found else None


def _too_big(value: Any) -> tuple[str, str] | None:
    found = type(value) is int and not -_BIGGEST <= value < 2 * _BIGGEST
    return ("is an integer beyond 64 bits", "send a smaller number, or a string") if found else None


def _integer(digits: str) -> int:
    """An integer, or one that is as much too big where it is too long to be converted."""
    return int(digits) if len(digits) <= 40 else 1 << 130
