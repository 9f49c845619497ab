"""Settings of exports: where traces go, what may go there, and how much may wait."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from synthralos.config.connection_settings import Count, Positive
from synthralos.config.guard_settings import GuardSettings
from synthralos.config.setting_urls import checked_url

_HTTP = ("http", "https")
_TRACES, _METRICS = "v1/traces", "v1/metrics"


def _plain(residency: str) -> str:
    """As residencies are written elsewhere: `EU` would open nothing."""
    return residency.strip().lower()


Residency = Annotated[str, AfterValidator(_plain)]


def _address(url: str | None) -> str | None:
    if url is not None and not checked_url(url, _HTTP).hostname:
        raise ValueError("must name a host: https://collector.example:4318")
    return url


def pairs(text: str) -> dict[str, str]:
    """`name=value,name=value`, with values as in a URL. Raises `ValueError` for what is no pair."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or not name.strip():
            raise ValueError("must be NAME=VALUE pairs, separated by commas")
        found[name.strip()] = unquote(value.strip())
    return found


class OtlpSettings(GuardSettings):
    """Settings of OTLP, under OpenTelemetry's own names."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="http(s)://… of an OpenTelemetry collector that finished traces are sent to"
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(
        None,
        description="the whole address for traces, where it is another; over HTTP v1/traces is appended to the above",
    )
    otel_metrics_exporter: Literal["otlp", "none"] = Field(
        "none", description="otlp: each process sends its metrics to the collector too, besides showing them"
    )
    otel_exporter_otlp_metrics_endpoint: str | None = Field(
        None, description="the whole address for metrics, where it is another; over HTTP v1/metrics is appended else"
    )
    otel_metric_export_interval: Positive = Field(60_000.0, description="milliseconds between two requests of metrics")
    otel_exporter_otlp_protocol: Literal["grpc", "http/protobuf", "http/json"] = Field(
        "http/protobuf", description="how the collector is spoken to"
    )
    otel_exporter_otlp_headers: SecretStr = Field(
        SecretStr(""), description="headers of each request, such as the collector's key: NAME=VALUE, by commas"
    )
    otel_exporter_otlp_timeout: Positive = Field(10_000.0, description="milliseconds that a request may take")
    otel_exporter_otlp_compression: Literal["gzip", "none"] = Field("gzip", description="of requests")
    otel_exporter_otlp_certificate: Path | None = Field(
        None, description="file of the certificate authorities that the collector's certificate is checked by"
    )
    otel_exporter_otlp_client_certificate: Path | None = Field(
        None, description="file of our own certificate, for mTLS"
    )
    otel_exporter_otlp_client_key: Path | None = Field(None, description="file of its private key")
    otel_resource_attributes: str = Field(
        "",
        description="what else is said of the sender: NAME=VALUE, by commas, such as deployment.environment.name=prod",
    )
    otel_instrumentation_genai_capture_message_content: bool = Field(
        False, description="send what was asked and answered too, as gen_ai.input.messages and gen_ai.output.messages"
    )
    otlp_residency: Residency | None = Field(
        None, description="where the collector keeps data, such as eu; undeclared, EU-classified traces are withheld"
    )

    @field_validator(
        "otel_exporter_otlp_endpoint", "otel_exporter_otlp_traces_endpoint", "otel_exporter_otlp_metrics_endpoint"
    )
    @classmethod
    def _named_host(cls, url: str | None) -> str | None:
        return _address(url)

    @field_validator("otel_resource_attributes")
    @classmethod
    def _whole_attributes(cls, text: str) -> str:
        pairs(text)
        return text

    @field_validator("otel_exporter_otlp_headers")
    @classmethod
    def _whole_headers(cls, text: SecretStr) -> SecretStr:
        if not all(" " <= char <= "~" for value in pairs(text.get_secret_value()).values() for char in value):
            raise ValueError("holds characters that a header cannot have")
        return text

    @model_validator(mode="after")
    def _metrics_have_an_address(self) -> Self:
        there = self.otel_exporter_otlp_metrics_endpoint or self.otel_exporter_otlp_endpoint
        if self.otel_metrics_exporter == "otlp" and there is None:
            raise ValueError("OTEL_METRICS_EXPORTER: otlp needs OTEL_EXPORTER_OTLP_ENDPOINT")
        return self

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.otel_exporter_otlp_client_certificate is None) != (self.otel_exporter_otlp_client_key is None):
            raise ValueError(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: has to be set together with OTEL_EXPORTER_OTLP_CLIENT_KEY"
            )
        return self

    @property
    def exports_otlp(self) -> bool:
        """Whether there is a collector."""
        return (self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint) is not None

    @property
    def traces_url(self) -> str:
        """Where traces are sent to; over gRPC its path says nothing."""
        return self.otel_exporter_otlp_traces_endpoint or self._address_of(_TRACES)

    @property
    def metrics_url(self) -> str:
        """Where metrics are sent to, likewise."""
        return self.otel_exporter_otlp_metrics_endpoint or self._address_of(_METRICS)

    def _address_of(self, path: str) -> str:
        return f"{(self.otel_exporter_otlp_endpoint or '').rstrip('/')}/{path}"

    @property
    def otlp_headers(self) -> dict[str, str]:
        """The headers by name."""
        return pairs(self.otel_exporter_otlp_headers.get_secret_value())

    @property
    def resource_attributes(self) -> dict[str, str]:
        """What else is said of the sender."""
        return pairs(self.otel_resource_attributes)

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """Certificate and key for mTLS, as paths."""
        certificate, key = self.otel_exporter_otlp_client_certificate, self.otel_exporter_otlp_client_key
        return None if certificate is None or key is None else (str(certificate), str(key))


class LangfuseSettings(OtlpSettings):
    """Settings of Langfuse."""

    langfuse_public_key: str | None = Field(None, description="pk-…: with the next two, finished traces go to Langfuse")
    langfuse_secret_key: SecretStr | None = Field(None, description="sk-… of the same project")
    langfuse_host: str | None = Field(None, description="https://… of Langfuse; it has no default, as data goes there")
    langfuse_residency: Residency | None = Field(
        None, description="where Langfuse keeps data, such as eu; undeclared, EU-classified traces are withheld"
    )
    langfuse_tracing_environment: str = Field(
        "default",
        pattern=r"^[a-z0-9_-]{1,40}$",
        description="environment that traces are filed under there, such as production",
    )
    langfuse_timeout: Positive = Field(20.0, description="seconds that a request to Langfuse may take")

    @field_validator("langfuse_tracing_environment")
    @classmethod
    def _own_environment(cls, name: str) -> str:
        if name.startswith("langfuse"):
            raise ValueError("must not begin with langfuse: those names are Langfuse's own")
        return name

    @field_validator("langfuse_host")
    @classmethod
    def _langfuse_host(cls, url: str | None) -> str | None:
        return None if url is None else (_address(url) or "").rstrip("/")

    @model_validator(mode="after")
    def _langfuse_is_whole(self) -> Self:
        given = {
            "LANGFUSE_PUBLIC_KEY": self.langfuse_public_key,
            "LANGFUSE_SECRET_KEY": self.langfuse_secret_key,
            "LANGFUSE_HOST": self.langfuse_host,
        }
        missing = [name for name, value in given.items() if not value]
        if 0 < len(missing) < len(given):
            raise ValueError(f"{missing[0]}: has to be set too, where {' or '.join(n for n in given if given[n])} is")
        return self


_SECRET_HEADER = re.compile("auth|key|token|secret|cookie", re.IGNORECASE)


class ExportSettings(LangfuseSettings):
    """See `settings.Settings`."""

    trace_export_file: Path | None = Field(None, description="JSON-lines file that finished traces are appended to")
    trace_export_residency: Residency | None = Field(
        None, description="where that file stays, such as eu; undeclared, no trace of EU-classified data is written"
    )
    export_by: Literal["auto", "workers", "exporters"] = Field(
        "auto",
        description="who ships: processes of `synthralos exporter`, the workers beside their jobs, or (auto) the "
        "workers while no exporter lives",
    )
    export_niceness: int = Field(
        15,
        ge=0,
        le=19,
        description="how far an exporter process stands back for others on its machine: 19 the furthest",
    )
    export_max_age_days: Positive = Field(
        7.0, description="days that a trace is owed to a destination, or set aside, before it is dropped"
    )
    export_backlog_most: Count = Field(
        1_000_000, description="traces that a destination may be owed; beyond that the oldest are dropped"
    )

    @property
    def export_secrets(self) -> set[str]:
        """The keys of destinations, which are shown nowhere and sent to nobody else."""
        langfuse = self.langfuse_secret_key
        headers = {value for name, value in self.otlp_headers.items() if _SECRET_HEADER.search(name)}
        return headers if langfuse is None else headers | {langfuse.get_secret_value()}
