"""Spans as OTLP's protobuf. Requests of several traces are the bytes of each, one behind the other.

The numbers of fields are those of opentelemetry/proto/trace/v1/trace.proto and collector/trace/v1/trace_service.proto.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipelines.analyze.exporters.protobuf import I64, VARINT, attributes, fixed64, tag, text, varint, within
from pipelines.analyze.otlp_spans import UNSET, OtlpSpan

_RESOURCE_SPANS = tag(1)  # ExportTraceServiceRequest
_RESOURCE, _SCOPE_SPANS = tag(1), tag(2)  # ResourceSpans
_SCOPE, _SPANS = tag(1), tag(2)  # ScopeSpans
_NAME, _VERSION = tag(1), tag(2)  # InstrumentationScope
_TRACE_ID, _SPAN_ID, _PARENT, _SPAN_NAME, _KIND = tag(1), tag(2), tag(4), tag(5), tag(6, VARINT)  # Span
_START, _END, _ATTRIBUTE, _EVENT, _STATUS = tag(7, I64), tag(8, I64), tag(9), tag(11), tag(15)
_AT, _EVENT_NAME, _EVENT_ATTRIBUTE = tag(1, I64), tag(2), tag(3)  # Span.Event
_MESSAGE, _CODE = tag(2), tag(3, VARINT)  # Status
_INTERNAL, _CLIENT = _KIND + varint(1), _KIND + varint(3)


class ProtobufEncoder:
    """Encodes traces of one sender (`otlp_spans.resource`)."""

    content_type = "application/x-protobuf"

    def __init__(self, sender: Mapping[str, Any]) -> None:
        self._resource, self._scope = sender_of(sender)

    def encode(self, spans: Sequence[OtlpSpan]) -> bytes:
        """A request with these spans."""
        shared = attributes(_ATTRIBUTE, spans[0].shared) if spans else b""
        encoded = b"".join([within(_SPANS, _span(span) + shared) for span in spans])
        return within(_RESOURCE_SPANS, self._resource + within(_SCOPE_SPANS, self._scope + encoded))

    def join(self, requests: Sequence[bytes]) -> bytes:
        """One request of several."""
        return b"".join(requests)

    def rejected(self, answer: bytes) -> int:
        """How many spans an answer says were not taken; what is no such answer says nothing."""
        found = ExportTraceServiceResponse()
        try:
            found.ParseFromString(answer)
        except DecodeError:
            return 0
        return int(found.partial_success.rejected_spans)


def sender_of(sender: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The fields of the resource, and of the scope, that stand before spans or metrics of this sender."""
    scope = within(_NAME, b"synthralos") + within(_VERSION, text(sender["service.version"]))
    return within(_RESOURCE, attributes(_RESOURCE, sender)), within(_SCOPE, scope)


def _span(span: OtlpSpan) -> bytes:
    parts = [
        within(_TRACE_ID, bytes.fromhex(span.trace_id)),
        within(_SPAN_ID, bytes.fromhex(span.span_id)),
        within(_PARENT, bytes.fromhex(span.parent_span_id)),
        within(_SPAN_NAME, text(span.name)),
        _CLIENT if span.is_client else _INTERNAL,
        _START + fixed64(span.start),
        _END + fixed64(span.end),
        attributes(_ATTRIBUTE, span.attributes),
    ]
    for event in span.events:
        said = attributes(_EVENT_ATTRIBUTE, event.attributes)
        parts.append(within(_EVENT, _AT + fixed64(event.at) + within(_EVENT_NAME, text(event.name)) + said))
    if span.status != UNSET:
        message = within(_MESSAGE, text(span.message)) if span.message else b""
        parts.append(within(_STATUS, message + _CODE + varint(span.status)))
    return b"".join(parts)
