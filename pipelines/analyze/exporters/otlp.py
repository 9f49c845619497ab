"""Traces to any OpenTelemetry collector or backend, by OTLP: over HTTP (protobuf or JSON), or over gRPC."""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import grpc
import orjson
from google.rpc.error_details_pb2 import RetryInfo

from pipelines.analyze.exporters.http_replies import LONGEST_REST, STOPPED_FOR, reply_of
from pipelines.analyze.exporters.otlp_proto import ProtobufEncoder
from pipelines.analyze.exporters.splitting import Fault, Packed, Refusal, Reply, Splitter
from pipelines.analyze.otlp_json import resource_spans
from pipelines.analyze.otlp_spans import OtlpSpan, otlp_spans, resource, trimmed
from pipelines.analyze.protocol import Answer, Trace
from pipelines.posting import Poster
from synthralos.config.export_settings import OtlpSettings
from synthralos.domain.exports import Destination, Rest

MOST_BYTES = 3_000_000
"""Of a request: collectors take 4 MiB by gRPC, and 20 MiB by HTTP."""

_MOST_TRACES = 512
_TRIMMED_TO, _EVENTS_KEPT = 2_000, 50
"""Of a trace that is too large alone: characters of a text, and events of the job."""

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Encoder(Protocol):
    """Makes requests of spans."""

    content_type: str

    def encode(self, spans: Sequence[OtlpSpan]) -> bytes:
        """What is one part of a request."""
        ...

    def join(self, requests: Sequence[bytes]) -> bytes:
        """A request of such parts."""
        ...

    def rejected(self, answer: bytes) -> int:
        """How many spans an answer says were not taken; what is no such answer says nothing."""
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


class Wire(Protocol):
    """Carries requests."""

    def send(self, request: bytes) -> Reply:
        """Raises `OSError` where nothing is answered."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class HttpWire:
    """OTLP over HTTP."""

    def __init__(self, settings: OtlpSettings, encoder: Encoder) -> None:
        self._url, self._encoder = settings.traces_url, encoder
        self._zipped = settings.otel_exporter_otlp_compression == "gzip"
        more = {"Content-Encoding": "gzip"} if self._zipped else {}
        self._headers = {**settings.otlp_headers, "Content-Type": encoder.content_type, **more}
        certificate = settings.otel_exporter_otlp_certificate
        self._poster = Poster(
            settings.otel_exporter_otlp_timeout / 1000,
            True if certificate is None else str(certificate),
            settings.client_certificate,
        )

    def send(self, request: bytes) -> Reply:
        """Raises `OSError` where nothing is answered."""
        body = gzip.compress(request, 1) if self._zipped else request
        posted = self._poster.post(self._url, body, self._headers)
        return reply_of(posted, partial=posted.status < 300 and self._encoder.rejected(posted.body) > 0)

    def close(self) -> None:
        """Give the connection back."""
        self._poster.close()


class GrpcWire:
    """OTLP over gRPC. Connects when something is sent first: a channel does not survive a fork."""

    def __init__(self, settings: OtlpSettings, encoder: Encoder) -> None:
        self._settings, self._encoder = settings, encoder
        self._metadata = [(name.lower(), value) for name, value in settings.otlp_headers.items()]
        self._channel: grpc.Channel | None = None

    def send(self, request: bytes) -> Reply:
        """Raises `OSError` where nothing is answered."""
        if self._channel is None:
            self._channel = _channel(self._settings)
        export = self._channel.unary_unary(_EXPORT)
        try:
            answer = export(request, timeout=self._settings.otel_exporter_otlp_timeout / 1000, metadata=self._metadata)
        except grpc.RpcError as error:
            return _reply(error)
        rejected = self._encoder.rejected(answer)
        return Refusal(Fault.INVALID, f"{rejected} spans were not taken") if rejected else None

    def close(self) -> None:
        """Give the connection back."""
        if self._channel is not None:
            self._channel.close()


class OtlpExporter:
    """Sends finished traces; see docs/exports.md."""

    def __init__(self, settings: OtlpSettings, release: str) -> None:
        self.destination = Destination("otlp", settings.otlp_residency, most=_MOST_TRACES)
        self._content = settings.otel_instrumentation_genai_capture_message_content
        sender = resource(release, settings.resource_attributes)
        by_json = settings.otel_exporter_otlp_protocol == "http/json"
        self._encoder: Encoder = JsonEncoder(sender) if by_json else ProtobufEncoder(sender)
        wire = GrpcWire if settings.otel_exporter_otlp_protocol == "grpc" else HttpWire
        self._wire: Wire = wire(settings, self._encoder)
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


def _channel(settings: OtlpSettings) -> grpc.Channel:
    target, secure = settings.grpc_target
    zipped = settings.otel_exporter_otlp_compression == "gzip"
    compression = grpc.Compression.Gzip if zipped else grpc.Compression.NoCompression
    if not secure:
        return grpc.insecure_channel(target, compression=compression)
    authorities = settings.otel_exporter_otlp_certificate
    pair = settings.client_certificate
    credentials = grpc.ssl_channel_credentials(
        None if authorities is None else authorities.read_bytes(), *_key_and_chain(pair)
    )
    return grpc.secure_channel(target, credentials, compression=compression)


def _key_and_chain(pair: tuple[str, str] | None) -> tuple[bytes | None, bytes | None]:
    if pair is None:
        return None, None
    certificate, key = pair
    with open(key, "rb") as one, open(certificate, "rb") as other:
        return one.read(), other.read()


_LOST = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
    }
)
_INVALID = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION})


def _reply(error: grpc.RpcError) -> Reply:
    """What gRPC's status means. Raises `ConnectionError` where it says that nothing was answered."""
    code, details = error.code(), (error.details() or "")[:200]
    reason = f"gRPC {code.name}: {details}"
    if code in _LOST:
        return Rest(STOPPED_FOR, reason, stopped=True)
    if code in _INVALID:
        return Refusal(Fault.INVALID, reason)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details.lower():
        return Refusal(Fault.TOO_LARGE, reason)
    asked = _retry_delay(error)
    if asked is not None:
        return Rest(asked, reason)
    raise ConnectionError(reason)


def _retry_delay(error: grpc.RpcError) -> float | None:
    """Seconds that the destination asks for (`google.rpc.RetryInfo`)."""
    for name, value in error.trailing_metadata() or ():
        if name == "google.rpc.retryinfo-bin":
            info = RetryInfo()
            info.ParseFromString(value)
            asked: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
            return min(asked, LONGEST_REST)
    return None
