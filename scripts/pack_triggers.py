"""`make pack` writes the StackStorm pack's triggers: what each tells, by the contracts, in StackStorm's form.

StackStorm checks payloads with a dialect of its own: draft 4 without `$ref` into `$defs` and without `const`, and
`required` stands in each property, as in draft 3. `tests/unit/test_pack_triggers.py` holds the files current.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "stackstorm"
EVENTS, TOLD = ROOT / "contracts" / "events", ROOT / "contracts" / "triggers"

_DEEPEST = 12
_KEPT = ("description", "enum", "format", "maximum", "minimum", "maxLength", "minLength", "pattern", "type")

_DEAD_LETTER = {
    "job_id": "JobSummary.id",
    **{
        name: f"JobSummary.{name}"
        for name in (
            "trace_id", "run_id", "organization", "workspace", "user", "model", "lane", "stage", "created_at",
            "finished_at", "attempts",
        )
    },
    "cost_usd": "Cost.usd",
    "cost_known": "Cost.known",
    "failure_class": "FailureView.class",
    "message": "FailureView.message",
    **{name: f"FailureView.{name}" for name in ("http_status", "provider_code", "retry_after")},
}  # fmt: skip
_BREAKER_OPENED = {name: f"BreakerChangeView.{name}" for name in ("name", "at", "before", "actor", "reason")}
_INCIDENT_OPENED = {
    name: f"IncidentSummary.{name}"
    for name in ("id", "kind", "subject", "organization", "severity", "forecast", "reason", "opened_at")
}
_INCIDENT_CLOSED = {**_INCIDENT_OPENED, "closed_at": "IncidentSummary.closed_at"}

_ENVELOPE = {
    "id": "EventView.id",
    "job_id": "JobSummary.id",
    "organization": "JobSummary.organization",
    "actor": "EventView.actor",
    "at": "EventView.at",
}
"""What every event of a job has beside its data."""

_SENSOR = {
    "class_name": "FailureSensor",
    "entry_point": "failure_sensor.py",
    "description": "Tells of dead letters, of circuit breakers that open, and of incidents",
    "poll_interval": 30,
    "enabled": True,
}
_SENSOR_TRIGGERS = {
    "dead_letter": ("A job failed for good", _DEAD_LETTER),
    "breaker_opened": ("A circuit breaker opened: a deployment or a key gets no calls", _BREAKER_OPENED),
    "incident_opened": ("The monitor found something that is not as usual", _INCIDENT_OPENED),
    "incident_closed": ("An incident is over", _INCIDENT_CLOSED),
}

Schema = dict[str, Any]


def files() -> dict[str, str]:
    """The text of each generated file by its path within the pack."""
    schemas = json.loads((ROOT / "contracts" / "openapi.json").read_text("utf-8"))["components"]["schemas"]
    told = [
        {"name": name, "description": what, "payload_schema": _payload(members, schemas)}
        for name, (what, members) in _SENSOR_TRIGGERS.items()
    ]
    found = {"sensors/failure_sensor.yaml": _yaml({**_SENSOR, "trigger_types": told})}
    for path in sorted(EVENTS.glob("*.schema.json")):
        event = json.loads(path.read_text("utf-8"))
        name = f"job_{event['title'].replace('.', '_')}"  # the only other sign that names of StackStorm may have
        payload = _payload(_ENVELOPE, schemas)
        payload["properties"]["data"] = {**_converted(event, event.get("$defs", {})), "required": True}
        trigger = {"name": name, "description": event["description"], "payload_schema": payload}
        found[f"triggers/{name}.yaml"] = _yaml(trigger)
    for path in sorted(TOLD.glob("*.schema.json")):
        told_of = json.loads(path.read_text("utf-8"))
        payload = _converted(told_of, told_of.get("$defs", {}))
        payload.pop("description", None)
        name = told_of["title"]
        trigger = {"name": name, "description": told_of["description"], "payload_schema": payload}
        found[f"triggers/{name}.yaml"] = _yaml(trigger)
    return found


def _payload(members: Mapping[str, str], schemas: Mapping[str, Any]) -> Schema:
    properties = {}
    for name, place in members.items():
        view, member = place.split(".")
        properties[name] = {**_converted(schemas[view]["properties"][member], schemas), "required": True}
    if "failure_class" in properties:
        # A job may have failed without a classified failure; the others of the failure are null or empty then.
        properties["failure_class"]["type"] = ["string", "null"]
        properties["failure_class"]["enum"].append(None)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _converted(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0) -> Schema:
    """The schema in StackStorm's dialect; raises `ValueError` for what that cannot say."""
    if depth > _DEEPEST:
        raise ValueError("a contract refers to itself")
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return {**_converted(target, definitions, depth + 1), **{k: schema[k] for k in _KEPT if k in schema}}
    if "anyOf" in schema:
        return _one_of(schema, definitions, depth)
    made: Schema = {name: schema[name] for name in _KEPT if name in schema}
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if schema.get("type") == "array":
        made["items"] = _converted(schema.get("items", {}), definitions, depth + 1)
    if "properties" in schema:
        required = schema.get("required", ())
        made["additionalProperties"] = False
        made["properties"] = {
            name: _converted(member, definitions, depth + 1) | ({"required": True} if name in required else {})
            for name, member in schema["properties"].items()
        }
    return made


def _one_of(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Schema:
    """Something or nothing: a type beside null."""
    some = [each for each in schema["anyOf"] if each.get("type") != "null"]
    if len(some) != 1:
        return {"anyOf": [_converted(each, definitions, depth + 1) for each in schema["anyOf"]]}
    made = _converted(some[0], definitions, depth + 1)
    made |= {name: schema[name] for name in ("description",) if name in schema}
    if len(some) < len(schema["anyOf"]):
        made["type"] = [made.get("type", "object"), "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def _yaml(document: Schema) -> str:
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=120, allow_unicode=False)
    return f"# Written by scripts/pack_triggers.py from contracts/; do not edit.\n---\n{text}"


def main() -> None:
    """Write all of them, and remove triggers that are none any more."""
    written = files()
    for old in (PACK / "triggers").glob("*.yaml"):
        if f"triggers/{old.name}" not in written:
            old.unlink()
    for path, text in written.items():
        (PACK / path).parent.mkdir(exist_ok=True)
        (PACK / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
