"""What is written as protobuf by hand is what OpenTelemetry's own definitions read, whatever it is of."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from pipelines.analyze.exporters.otlp_proto import ProtobufEncoder
from pipelines.analyze.otlp_spans import ERROR, OK, UNSET, OtlpEvent, OtlpSpan

TEXTS = st.text(st.characters(codec=None)) | st.integers(0, 20_000).map("ü".__mul__)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.none().map(str),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES | st.none(), max_size=5)
TIMES = st.integers(0, 2**64 - 1)
IDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
EVENTS = st.lists(st.builds(OtlpEvent, TIMES, TEXTS, ATTRIBUTES), max_size=3)
SPANS = st.builds(
    OtlpSpan, st.binary(min_size=16, max_size=16).map(bytes.hex), IDS, st.just("") | IDS, TEXTS, st.booleans(), TIMES,
    TIMES, ATTRIBUTES, EVENTS, st.sampled_from([UNSET, OK, ERROR]), TEXTS,
)  # fmt: skip


def storable(value: Any) -> Any:
    """As it can be stored: lone surrogates and numbers of more than 64 bits cannot."""
    if isinstance(value, list):
        return [storable(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return str(value)
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def read(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [read(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))


def known(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(storable(name), storable(value)) for name, value in values.items() if value is not None]


def pairs(found: Any) -> list[tuple[str, Any]]:
    return [(each.key, read(each.value)) for each in found]


@given(st.lists(SPANS, max_size=3), ATTRIBUTES)
def test_spans_arrive_as_they_were(spans: list[OtlpSpan], shared: dict[str, Any]) -> None:
    for span in spans:
        span.shared = shared
    encoder = ProtobufEncoder({"service.name": "synthralos", "service.version": "1"})
    request = ExportTraceServiceRequest.FromString(encoder.join([encoder.encode(spans), encoder.encode([])]))
    first, second = request.resource_spans
    assert pairs(first.resource.attributes) == [("service.name", "synthralos"), ("service.version", "1")]
    assert (first.scope_spans[0].scope.name, first.scope_spans[0].scope.version) == ("synthralos", "1")
    assert not second.scope_spans[0].spans
    for span, found in zip(spans, first.scope_spans[0].spans, strict=True):
        ids = (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex())
        assert ids == (span.trace_id, span.span_id, span.parent_span_id)
        assert (found.name, found.kind) == (storable(span.name), 3 if span.is_client else 1)
        assert (found.start_time_unix_nano, found.end_time_unix_nano) == (span.start, span.end)
        assert pairs(found.attributes) == known(span.attributes) + known(shared)
        events = [(each.time_unix_nano, each.name, pairs(each.attributes)) for each in found.events]
        assert events == [(each.at, storable(each.name), known(each.attributes)) for each in span.events]
        assert found.status.code == span.status
        assert found.status.message == ("" if span.status == UNSET else storable(span.message))
