"""A JSON Schema in the form that Anthropic's structured outputs take.

They refuse keywords that bound values, and objects that are open. So objects are closed, and what is refused goes into
the description, where the model reads it; whether the answer follows the schema as it was sent is checked when it is
there. Source: Anthropic, "Structured outputs", and what its own client sends.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from pipelines.providers.wire import NotTaken

_KEPT = frozenset({"$ref", "type", "enum", "const", "title", "default", "required"})
_MAPS = ("properties", "$defs", "definitions")
_CHOICES: Mapping[str, str] = {"anyOf": "anyOf", "oneOf": "anyOf"}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)  # fmt: skip
_DROPPED = frozenset({"$schema", "$id", "$comment", "additionalProperties", "examples"})


def taken(schema: Any) -> Any:
    """The schema as the API takes it. An answer that fits it may still not fit the schema itself.

    Raises `NotTaken` for what would mean something else in closed objects.
    """
    if not isinstance(schema, dict):
        return schema
    schema = _one_part(schema)
    problem = _lost_if_closed(schema)
    if problem is not None:
        raise NotTaken(f"response_format.json_schema.schema: {problem}; change it, or choose another deployment")
    found: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, dict):
            found[name] = {key: taken(inner) for key, inner in value.items()}
        elif name in _CHOICES and isinstance(value, list):
            found.setdefault(_CHOICES[name], []).extend(map(taken, value))
        elif name == "items" and isinstance(value, dict):
            found[name] = taken(value)
        elif _is_kept(name, value):
            found[name] = value
        elif name not in _DROPPED and name != "description":
            said[name] = value
    if _is_object(schema):
        found["additionalProperties"] = False
    description = _described(schema.get("description"), said)
    return {**found, "description": description} if description else found


def _one_part(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the one part that `allOf` wraps, as generators write it around references."""
    parts = schema.get("allOf")
    beside = schema.keys() - {"allOf"}
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict) and not beside & parts[0].keys():
        return {**{name: schema[name] for name in beside}, **parts[0]}
    return schema


def _lost_if_closed(schema: Mapping[str, Any]) -> str | None:
    """What an object may hold that no closed one can."""
    if "allOf" in schema or "patternProperties" in schema:
        return "this API takes no allOf and no patternProperties"
    if any("properties" in schema and _is_object(each) for name in _CHOICES for each in _list(schema.get(name))):
        return "this API takes no properties beside a choice of objects"
    if not _is_object(schema):
        return None
    rest = schema.get("additionalProperties", True)
    if isinstance(rest, dict) or (rest is True and not schema.keys() & {"properties", "anyOf", "oneOf", "$ref"}):
        return "this API takes no objects with members of any name"
    return None


def _is_object(schema: object) -> bool:
    return isinstance(schema, dict) and ("properties" in schema or "object" in _list(schema.get("type")))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_kept(name: str, value: object) -> bool:
    if name == "format":
        return value in _FORMATS if isinstance(value, str) else False
    return name in _KEPT or (name == "minItems" and value in (0, 1))


def _described(description: object, said: Mapping[str, Any]) -> str:
    texts = [description] if isinstance(description, str) else []
    texts += [f"{name}: {orjson.dumps(value).decode()}" for name, value in said.items()]
    return "\n".join(texts)
