"""The exporters that the settings ask for: one line each. What an exporter needs is imported only then."""

from collections.abc import Callable
from importlib import metadata

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.protocol import Exporter
from synthralos.config.settings import Settings, SettingsError


def _jsonl(settings: Settings) -> Exporter | None:
    path = settings.trace_export_file
    return None if path is None else JsonLinesExporter(path, settings.trace_export_residency)


def _rudderstack(settings: Settings) -> Exporter | None:
    key, url = settings.rudderstack_write_key, settings.rudderstack_data_plane_url
    if key is None or url is None:
        return None
    from pipelines.analyze.exporters.rudderstack.exporter import Account, RudderStackExporter  # noqa: PLC0415

    residency, batch = settings.rudderstack_residency, settings.rudderstack_batch_size
    account = Account(url, key.get_secret_value(), residency, batch, settings.rudderstack_content)
    return RudderStackExporter(account, metadata.version("synthralos"))


def _otlp(settings: Settings) -> Exporter | None:
    if not settings.exports_otlp:
        return None
    try:
        from pipelines.analyze.exporters.otlp import OtlpExporter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp", error) from None
    return OtlpExporter(settings, metadata.version("synthralos"))


def _langfuse(settings: Settings) -> Exporter | None:
    if settings.langfuse_host is None:
        return None
    try:
        from pipelines.analyze.exporters.langfuse import LangfuseExporter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing("LANGFUSE_HOST", "langfuse", error) from None
    return LangfuseExporter(settings, metadata.version("synthralos"))


def _missing(setting: str, extra: str, error: ImportError) -> SettingsError:
    return SettingsError(f"{setting}: needs what is not installed ({error.name}): install synthralos[{extra}]")


EXPORTERS: tuple[Callable[[Settings], Exporter | None], ...] = (_jsonl, _otlp, _langfuse, _rudderstack)
"""Each makes its exporter, or None where the settings do not ask for it."""


def build_exporters(settings: Settings) -> dict[str, Exporter]:
    """The configured exporters by destination. Raises `SettingsError` where one of them is not installed."""
    made = (factory(settings) for factory in EXPORTERS)
    return {exporter.destination.name: exporter for exporter in made if exporter is not None}
