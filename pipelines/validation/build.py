"""The validator that the settings ask for."""

from pipelines.validation.protocol import Validator
from pipelines.validation.sidecar import Sidecar
from synthralos.config.settings import Settings
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages


def build_validator(settings: Settings, outages: Outages, metrics: Metrics) -> Validator | None:
    """The sidecar at GUARDRAILS_URL; None where none is set."""
    if settings.guardrails_url is None:
        return None
    return Sidecar(
        settings.guardrails_url,
        settings.guardrails_timeout,
        fails_open=settings.guardrails_failure == "open",
        outages=outages,
        metrics=metrics,
    )
