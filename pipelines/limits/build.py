"""The limiter that the settings ask for."""

from pipelines.limits.limiter import Limiter
from pipelines.limits.memory import MemoryMeter
from pipelines.limits.protocol import Meter
from synthralos.config.settings import Settings
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages


def build_limiter(settings: Settings, outages: Outages, metrics: Metrics) -> Limiter:
    """Counts in the Redis of REDIS_URL, together with all other processes; else in this process alone."""
    meter: Meter = MemoryMeter()
    if settings.redis_url is not None:
        from pipelines.limits.shared import RedisMeter  # noqa: PLC0415 - a client that others do without

        meter = RedisMeter(settings.redis_url, f"{settings.broker_namespace}:limits:")
    return Limiter(meter, fails_open=settings.rate_limit_failure == "open", outages=outages, metrics=metrics)
