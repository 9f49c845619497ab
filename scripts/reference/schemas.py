"""JSON Schemas of the OpenAPI document in words."""

from collections.abc import Mapping
from typing import Any

from scripts.reference.markdown import table

Schema = Mapping[str, Any]

_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} members",
}
_MANY = 12
"""So many values are listed; an enumeration of more has a page of its own."""


def kind(schema: Schema) -> str:
    """What a value is, in a word or a few: `string`, `array of Message`, `"a" or "b"`."""
    if "$ref" in schema:
        return f"[{name_of(schema)}](#{name_of(schema).lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"][:_MANY])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(kind(each) for each in schema[union]))
    if schema.get("type") == "array":
        return f"array of {kind(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "time (RFC 3339)"
    return str(schema.get("type", "any"))


def limits(schema: Schema) -> str:
    """What besides its kind a value has to keep to."""
    found = [words.format(f"{schema[name]:,}") for name, words in _LIMITS.items() if name in schema]
    for each in (*schema.get("anyOf", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else ())):
        found += [limit for limit in limits(each).split(", ") if limit]
    return ", ".join(dict.fromkeys(found))


def described(schema: Schema) -> str:
    """The description of a value, its limits and its default."""
    about = [schema.get("description", ""), *(each.get("description", "") for each in schema.get("anyOf", ()))]
    default = schema.get("default")
    parts = [*dict.fromkeys(filter(None, about)), limits(schema)]
    parts += [f"default `{default}`"] if default not in (None, "", [], {}) else []
    return "; ".join(filter(None, parts))


def members(schema: Schema) -> str:
    """The table of an object's members; "" where it has none of its own."""
    required = set(schema.get("required", ()))
    rows = [
        [f"`{name}`{' (required)' if name in required else ''}", kind(member), described(member)]
        for name, member in schema.get("properties", {}).items()
    ]
    return table(["member", "is", "about"], rows) if rows else ""


def name_of(schema: Schema) -> str:
    """The name of the model that a reference leads to."""
    return str(schema["$ref"]).rpartition("/")[2]
