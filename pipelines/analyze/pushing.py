"""Whether this process sends its metrics to a collector, and what the collector is told of its deployments."""

from typing import Protocol

from pipelines.analyze.otlp_metrics import Called
from synthralos.config.settings import SettingsError
from synthralos.core import Core


class Pushing(Protocol):
    """Something that sends metrics until it is closed."""

    def close(self) -> None:
        """Send no more."""
        ...


class _Nothing:
    def close(self) -> None:
        """Nothing is held."""


def push_metrics(core: Core) -> Pushing:
    """Begin to, where the settings say so. Raises `SettingsError` where what OTLP needs is not installed."""
    if core.settings.otel_metrics_exporter != "otlp":
        return _Nothing()
    try:
        from pipelines.analyze.exporters.metrics_push import MetricsPush  # noqa: PLC0415 - an extra
    except ImportError as error:
        missing = f"needs what is not installed ({error.name}): install synthralos[otlp]"
        raise SettingsError(f"OTEL_METRICS_EXPORTER: {missing}") from None

    def called(deployment_id: str) -> Called | None:
        found = core.catalog.get(deployment_id)
        return None if found is None else Called("embeddings" if found.embeds else "chat", found.model)

    return MetricsPush(core.settings, core.metrics, called)
