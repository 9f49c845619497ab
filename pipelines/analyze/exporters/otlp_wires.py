"""Carrying OTLP, of traces and of metrics: over HTTP (protobuf or JSON), or over gRPC."""

import gzip
from typing import Protocol
from urllib.parse import urlsplit

import grpc
from google.rpc.error_details_pb2 import RetryInfo

from pipelines.analyze.exporters.http_replies import LONGEST_REST, STOPPED_FOR, reply_of
from pipelines.analyze.exporters.splitting import Fault, Refusal, Reply
from pipelines.posting import Poster
from synthralos.config.export_settings import OtlpSettings
from synthralos.domain.exports import Rest


class Reading(Protocol):
    """What is known of the requests that are carried, and of their answers."""

    content_type: str

    def rejected(self, answer: bytes) -> int:
        """How many spans or points an answer says were not taken; what is no such answer says nothing."""
        ...


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

    def __init__(self, settings: OtlpSettings, encoder: Reading, url: str) -> None:
        self._url, self._encoder = url, encoder
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

    def __init__(self, settings: OtlpSettings, encoder: Reading, url: str, method: str) -> None:
        """`method`: the whole name of what is called, such as `/…TraceService/Export`."""
        self._settings, self._encoder, self._url, self._method = settings, encoder, url, method
        self._metadata = [(name.lower(), value) for name, value in settings.otlp_headers.items()]
        self._channel: grpc.Channel | None = None

    def send(self, request: bytes) -> Reply:
        """Raises `OSError` where nothing is answered."""
        if self._channel is None:
            self._channel = _channel(self._settings, self._url)
        export = self._channel.unary_unary(self._method)
        try:
            answer = export(request, timeout=self._settings.otel_exporter_otlp_timeout / 1000, metadata=self._metadata)
        except grpc.RpcError as error:
            return _reply(error)
        rejected = self._encoder.rejected(answer)
        return Refusal(Fault.INVALID, f"{rejected} were not taken") if rejected else None

    def close(self) -> None:
        """Give the connection back."""
        if self._channel is not None:
            self._channel.close()


def wire_of(settings: OtlpSettings, encoder: Reading, url: str, method: str) -> Wire:
    """The wire that the settings ask for. Connects when something is sent first."""
    if settings.otel_exporter_otlp_protocol == "grpc":
        return GrpcWire(settings, encoder, url, method)
    return HttpWire(settings, encoder, url)


def _channel(settings: OtlpSettings, url: str) -> grpc.Channel:
    parts = urlsplit(url)
    target, secure = f"{parts.hostname}:{parts.port or 4317}", parts.scheme == "https"
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
