"""Spans as OTLP's protobuf. Requests of several traces are the bytes of each, one behind the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from pipelines.analyze.otlp_spans import UNSET, OtlpSpan

_INT64 = 2**63

_RESOURCE_SPANS = b"\x0a"  # ExportTraceServiceRequest.resource_spans = 1
_SCOPE_SPANS = b"\x12"  # ResourceSpans.scope_spans = 2
_SPANS = b"\x12"  # ScopeSpans.spans = 2
"""Tags of the fields that hold messages."""


class ProtobufEncoder:
    """Encodes traces of one sender (`otlp_spans.resource`)."""

    content_type = "application/x-protobuf"

    def __init__(self, sender: Mapping[str, Any]) -> None:
        scope = InstrumentationScope(name="synthralos", version=sender["service.version"])
        self._resource = ResourceSpans(resource=Resource(attributes=_attributes(sender))).SerializeToString()
        self._scope = ScopeSpans(scope=scope).SerializeToString()

    def encode(self, spans: Sequence[OtlpSpan]) -> bytes:
        """A request with these spans. Messages are put together as bytes, which spares copies of them."""
        shared = Span(attributes=_attributes(spans[0].shared)).SerializeToString() if spans else b""
        encoded = (_within(_SPANS, _span(span).SerializeToString() + shared) for span in spans)
        scoped = _within(_SCOPE_SPANS, self._scope + b"".join(encoded))
        return _within(_RESOURCE_SPANS, self._resource + scoped)

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


def _within(tag: bytes, message: bytes) -> bytes:
    """A message as a field of another one."""
    return tag + _varint(len(message)) + message


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _span(span: OtlpSpan) -> Span:
    return Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id),
        name=span.name,
        kind=Span.SPAN_KIND_CLIENT if span.is_client else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=_attributes(span.attributes),
        events=[
            Span.Event(time_unix_nano=event.at, name=event.name, attributes=_attributes(event.attributes))
            for event in span.events
        ],
        status=None if span.status == UNSET else Status(code=span.status, message=span.message),  # type: ignore[arg-type]
    )


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in values.items() if value is not None]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if -_INT64 <= value < _INT64 else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=_storable(str(value)))


def _storable(text: str) -> str:
    """Protobuf's texts are UTF-8, which has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
