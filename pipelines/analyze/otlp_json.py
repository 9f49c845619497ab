"""A trace as OTLP's JSON, which any OpenTelemetry collector takes (`POST /v1/traces`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.analyze.otlp_spans import UNSET, OtlpSpan, Part, otlp_spans, resource

_INTERNAL, _CLIENT = 1, 3


def otlp(parts: Sequence[Part], release: str) -> dict[str, Any]:
    """`ExportTraceServiceRequest` with the spans of these jobs, as `assemble` gives them. Open spans are left out."""
    return {"resourceSpans": [resource_spans((span for part in parts for span in otlp_spans(part)), resource(release))]}


def resource_spans(spans: Iterable[OtlpSpan], sender: Mapping[str, Any]) -> dict[str, Any]:
    """These spans of that sender (`otlp_spans.resource`)."""
    scope = {"name": "synthralos", "version": sender["service.version"]}
    scoped = {"scope": scope, "spans": [_encoded(span) for span in spans]}
    return {"resource": {"attributes": attributes(sender)}, "scopeSpans": [scoped]}


def _encoded(span: OtlpSpan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": _CLIENT if span.is_client else _INTERNAL,
        "startTimeUnixNano": str(span.start),  # OTLP writes 64-bit numbers as text
        "endTimeUnixNano": str(span.end),
        "attributes": attributes(span.attributes),
        "status": _status(span),
    }
    if span.events:
        found["events"] = [
            {"timeUnixNano": str(event.at), "name": event.name, "attributes": attributes(event.attributes)}
            for event in span.events
        ]
    return found


def _status(span: OtlpSpan) -> dict[str, Any]:
    if span.status == UNSET:
        return {}
    return {"code": span.status, **({"message": span.message} if span.message else {})}


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """OpenTelemetry's `KeyValue`s; those that are None are not there."""
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": str(value)}
