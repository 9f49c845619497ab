"""What StackStorm demands of a pack's files, as JSON Schemas of ours, and payloads checked as it checks them."""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

PACK = Path(__file__).resolve().parents[2] / "stackstorm"

_SIMPLE = ["array", "boolean", "integer", "null", "number", "object", "string"]
_WORD = {"type": "string", "pattern": r"^[a-z0-9_]+$"}
_TEXT = {"type": "string", "minLength": 1}

PARAMETER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "description"],
    "properties": {
        "type": {"enum": _SIMPLE},
        "description": _TEXT,
        **{name: {"type": "boolean"} for name in ("required", "secret", "immutable")},
        **{name: {"type": "number"} for name in ("minimum", "maximum")},
        **{name: {"type": "integer", "minimum": 0} for name in ("position", "minLength", "maxLength")},
        "enum": {"type": "array", "minItems": 1, "uniqueItems": True},
        "items": {"type": "object", "required": ["type"], "properties": {"type": {"enum": _SIMPLE}}},
        "default": {},
    },
}
"""Of an action, and of the pack's configuration: one type each, `required` a flag, nothing that is not known."""

FILES: dict[str, dict[str, Any]] = {
    "pack.yaml": {
        "additionalProperties": False,
        "required": ["ref", "name", "description", "version", "author", "email", "python_versions"],
        "properties": {
            "ref": _WORD,
            "name": _WORD,
            "description": _TEXT,
            "keywords": {"type": "array", "items": _WORD},
            "version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
            "stackstorm_version": {"type": "string", "pattern": r"^>=[0-9]+\.[0-9]+\.[0-9]+$"},
            "python_versions": {"const": ["3"]},
            "author": _TEXT,
            "email": {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"},
        },
    },
    "config.schema.yaml": {"patternProperties": {r"^\w+$": PARAMETER}, "additionalProperties": False},
    "actions/*.yaml": {
        "additionalProperties": False,
        "required": ["name", "description", "runner_type", "entry_point", "enabled", "parameters"],
        "properties": {
            "name": _WORD,
            "description": _TEXT,
            "runner_type": {"enum": ["python-script", "orquesta"]},
            "entry_point": {"type": "string", "pattern": r"^(\w+\.py|workflows/\w+\.yaml)$"},
            "enabled": {"const": True},
            "parameters": {"patternProperties": {r"^\w+$": PARAMETER}, "additionalProperties": False},
        },
    },
    "sensors/*.yaml": {
        "additionalProperties": False,
        "required": ["class_name", "entry_point", "description", "poll_interval", "trigger_types"],
        "properties": {
            "class_name": _TEXT,
            "entry_point": {"type": "string", "pattern": r"^\w+\.py$"},
            "description": _TEXT,
            "enabled": {"type": "boolean"},
            "poll_interval": {"type": "integer", "minimum": 4},
            "trigger_types": {"type": "array", "minItems": 1},
        },
    },
    "triggers/*.yaml": {
        "additionalProperties": False,
        "required": ["name", "description", "payload_schema"],
        "properties": {"name": _WORD, "description": _TEXT, "payload_schema": {"type": "object"}},
    },
    "rules/*.yaml": {
        "additionalProperties": False,
        "required": ["name", "pack", "description", "enabled", "trigger", "action"],
        "properties": {
            "name": _WORD,
            "pack": {"const": "synthralos"},
            "description": _TEXT,
            "enabled": {"type": "boolean"},
            "trigger": {"type": "object", "required": ["type"], "properties": {"type": _TEXT}},
            "criteria": {
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["type", "pattern"],
                    "properties": {
                        "type": {"enum": ["inside", "exists", "nexists", "lessthan", "greaterthan", "equals"]},
                        "pattern": {"not": {"type": "null"}},
                    },
                }
            },
            "action": {
                "type": "object",
                "additionalProperties": False,
                "required": ["ref", "parameters"],
                "properties": {"ref": _TEXT, "parameters": {"type": "object"}},
            },
        },
    },
    "aliases/*.yaml": {
        "additionalProperties": False,
        "required": ["name", "pack", "description", "action_ref", "formats", "ack", "result"],
        "properties": {
            "name": _WORD,
            "pack": {"const": "synthralos"},
            "description": _TEXT,
            "action_ref": _TEXT,
            "enabled": {"type": "boolean"},
            "formats": {"type": "array", "minItems": 1},
            "immutable_parameters": {"type": "object"},
            **{
                name: {"type": "object", "required": ["enabled", "format"], "properties": {"format": _TEXT}}
                for name in ("ack", "result")
            },
        },
    },
    "policies/*.yaml": {
        "additionalProperties": False,
        "required": ["name", "pack", "description", "enabled", "resource_ref", "policy_type", "parameters"],
        "properties": {
            "name": {"type": "string", "pattern": r"^[a-z0-9_.]+$"},
            "pack": {"const": "synthralos"},
            "description": _TEXT,
            "enabled": {"type": "boolean"},
            "resource_ref": _TEXT,
            # Retry policies do nothing inside of workflows: tasks have a retry of their own.
            "policy_type": {"enum": ["action.concurrency", "action.concurrency.attr"]},
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "required": ["threshold"],
                "properties": {
                    "threshold": {"type": "integer", "minimum": 1},
                    "action": {"enum": ["delay", "cancel"]},
                    "attributes": {"type": "array", "minItems": 1, "uniqueItems": True},
                },
            },
        },
    },
}
"""Every kind of file by where it lies."""


def documents(pattern: str) -> dict[Path, dict[str, Any]]:
    """The files that lie there, read."""
    found = {path: yaml.safe_load(path.read_text("utf-8")) for path in sorted(PACK.glob(pattern))}
    assert found, pattern
    return found


@cache
def trigger_types() -> dict[str, dict[str, Any]]:
    """The payload schema of each trigger of the pack, by its reference."""
    sensors = [each for document in documents("sensors/*.yaml").values() for each in document["trigger_types"]]
    alone = list(documents("triggers/*.yaml").values())
    return {f"synthralos.{each['name']}": each["payload_schema"] for each in sensors + alone}


def payload_problems(trigger: str, payload: Any) -> list[str]:
    """What StackStorm would say against a payload; it has no `required` but the flag of a property."""
    validator = jsonschema_rs.Draft4Validator(as_draft4(trigger_types()[trigger]))
    return [error.message for error in validator.iter_errors(payload)]


def as_draft4(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of StackStorm's dialect in the one that it comes from."""
    made = copy.deepcopy(schema)
    for part in list(_objects(made)):
        members = part["properties"]
        needed = [name for name, member in members.items() if member.pop("required", False) is True]
        if needed:
            part["required"] = needed
    return made


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for each in schema:
            yield from _objects(each)
    elif isinstance(schema, dict):
        for each in schema.values():
            yield from _objects(each)
        if isinstance(schema.get("properties"), dict):
            yield schema
