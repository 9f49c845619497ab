"""A trace as OTLP's JSON, which any OpenTelemetry collector takes (`POST /v1/traces`).

Calls carry the attributes of the semantic conventions for generative AI; ours are under `synthralos.`. What was asked
and answered is not in it: the conventions leave content to those who opt in.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Part = Mapping[str, Any]
Span = Mapping[str, Any]

_PROVIDERS = {"google": "gcp.gemini", "azure": "azure.ai.openai"}
"""Those that the conventions call otherwise than we do."""

_INTERNAL, _CLIENT = 1, 3
_OK, _ERROR = 1, 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def otlp(trace_id: str, parts: Sequence[Part], release: str) -> dict[str, Any]:
    """`ExportTraceServiceRequest` with the spans of these jobs, as `assemble` gives them. Open spans are left out."""
    spans = [_span(trace_id, part, span) for part in parts for span in part["spans"] if span["ended_at"] is not None]
    resource = {"service.name": "synthralos", "service.version": release}
    scope = {"name": "synthralos", "version": release}
    return {
        "resourceSpans": [
            {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}
        ]
    }


def _span(trace_id: str, part: Part, span: Span) -> dict[str, Any]:
    is_call = span["kind"] == "attempt"
    found = {
        "traceId": trace_id,
        "spanId": span["span_id"],
        "parentSpanId": span["parent_span_id"] or "",
        "name": _name(part, span) if is_call else span["name"],
        "kind": _CLIENT if is_call else _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span["started_at"]),
        "endTimeUnixNano": _nanoseconds(span["ended_at"]),
        "attributes": _attributes({**_own(span), **(_conventional(part, span) if is_call else {})}),
        "status": _status(span),
    }
    if span["kind"] == "job":
        found["events"] = [_event(event) for event in part["events"]]
    return found


def _operation(part: Part) -> str:
    return "embeddings" if "input" in part["job"]["request"] else "chat"


def _name(part: Part, span: Span) -> str:
    return f"{_operation(part)} {span['attributes']['model'] or part['job']['model']}"


def _conventional(part: Part, span: Span) -> dict[str, Any]:
    seen, job = span["attributes"], part["job"]
    usage, result = seen["usage"] or {}, job["result"]
    answered = span["status"] == "ok" and result is not None and result.get("deployment") == seen["deployment"]
    return {
        "gen_ai.operation.name": _operation(part),
        "gen_ai.provider.name": _PROVIDERS.get(seen["provider"], seen["provider"]),
        "gen_ai.request.model": seen["model"],
        "gen_ai.response.model": seen["provider_model"],
        "gen_ai.response.id": seen["provider_request_id"],
        "gen_ai.response.finish_reasons": [result["finish_reason"]] if answered and result["finish_reason"] else None,
        "gen_ai.usage.input_tokens": usage.get("input"),
        "gen_ai.usage.output_tokens": usage.get("output"),
        "gen_ai.usage.cache_read.input_tokens": usage.get("cached"),
        "gen_ai.usage.reasoning.output_tokens": usage.get("reasoning"),
        "error.type": None if seen["failure"] is None else seen["failure"]["class"],
    }


def _own(span: Span) -> dict[str, Any]:
    plain = {name: value for name, value in span["attributes"].items() if isinstance(value, str | int | float | bool)}
    return {f"synthralos.{name}": value for name, value in plain.items()}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"timeUnixNano": _nanoseconds(event["at"]), "name": event["kind"], "attributes": []}


def _status(span: Span) -> dict[str, Any]:
    if span["status"] != "error":
        return {"code": _OK} if span["status"] == "ok" else {}
    failure = span["attributes"].get("failure")
    return {"code": _ERROR, **({"message": failure["message"]} if failure else {})}


def _nanoseconds(moment: str) -> str:
    """As OTLP writes a 64-bit number in JSON: as text."""
    return str((datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1) * 1000)


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": list(_values(value))}}
    return {"stringValue": str(value)}


def _values(values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        yield _value(value)
