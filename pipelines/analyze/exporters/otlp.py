"""Traces to any OpenTelemetry collector or backend, by OTLP."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from pipelines.analyze.exporters.otlp_proto import ProtobufEncoder
from pipelines.analyze.exporters.otlp_wires import Reading, wire_of
from pipelines.analyze.exporters.splitting import Packed, Reply, Splitter
from pipelines.analyze.otlp_json import resource_spans
from pipelines.analyze.otlp_spans import OtlpSpan, otlp_spans, resource, trimmed
from pipelines.analyze.protocol import Answer, Trace
from synthralos.config.export_settings import OtlpSettings
from synthralos.domain.exports import Destination

MOST_BYTES = 3_000_000
"""Of a request: collectors take 4 MiB by gRPC, and 20 MiB by HTTP."""

_MOST_TRACES = 512
_TRIMMED_TO, _EVENTS_KEPT = 2_000, 50
"""Of a trace that is too large alone: characters of a text, and events of the job."""

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Encoder(Reading, Protocol):
    """Makes requests of spans."""

    def encode(self, spans: Sequence[OtlpSpan]) -> bytes:
        """What is one part of a request."""
        ...

    def join(self, requests: Sequence[bytes]) -> bytes:
        """A request of such parts."""
        ...


class JsonEncoder:
    """As `ProtobufEncoder`, in JSON."""

    content_type = "application/json"

    def __init__(self, sender: Mapping[str, Any]) -> None:
        self._sender = sender

    def encode(self, spans: Sequence[OtlpSpan]) -> bytes:
        """What is one element of a request."""
        return orjson.dumps(resource_spans(spans, self._sender))

    def join(self, requests: Sequence[bytes]) -> bytes:
        """A request of them."""
        return b'{"resourceSpans":[%s]}' % b",".join(requests)

    def rejected(self, answer: bytes) -> int:
        """How many spans an answer says were not taken; what is no such answer says nothing."""
        try:
            found = orjson.loads(answer)
            return int(found["partialSuccess"]["rejectedSpans"])
        except (ValueError, KeyError, TypeError):
            return 0


class OtlpExporter:
    """Sends finished traces; see docs/exports.md."""

    def __init__(self, settings: OtlpSettings, release: str) -> None:
        self.destination = Destination("otlp", settings.otlp_residency, most=_MOST_TRACES)
        self._content = settings.otel_instrumentation_genai_capture_message_content
        sender = resource(release, settings.resource_attributes)
        by_json = settings.otel_exporter_otlp_protocol == "http/json"
        self._encoder: Encoder = JsonEncoder(sender) if by_json else ProtobufEncoder(sender)
        self._wire = wire_of(settings, self._encoder, settings.traces_url, _EXPORT)
        self._splitter = Splitter(self._send, MOST_BYTES)

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """See `Exporter`."""
        return self._splitter.ship(traces, self._pack)

    def close(self) -> None:
        """See `Exporter`."""
        self._wire.close()

    def _send(self, packed: Sequence[Packed]) -> Reply:
        return self._wire.send(self._encoder.join([each.body for each in packed]))

    def _pack(self, trace: Trace) -> Packed:
        spans = otlp_spans(trace, content=self._content)
        return Packed(trace["job"]["id"], self._encoder.encode(spans), lambda: self._encoder.encode(_small(spans)))


def _small(spans: Sequence[OtlpSpan]) -> list[OtlpSpan]:
    for span in spans:
        texts = {name: value for name, value in span.attributes.items() if isinstance(value, str)}
        span.attributes = {**span.attributes, **{name: trimmed(text, _TRIMMED_TO) for name, text in texts.items()}}
        if len(span.events) > _EVENTS_KEPT:
            span.attributes["synthralos.trimmed_events"] = len(span.events) - _EVENTS_KEPT
            span.events = span.events[-_EVENTS_KEPT:]
    return [*spans]
